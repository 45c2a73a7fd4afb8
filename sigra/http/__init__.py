"""What Sigra knows of HTTP beyond Starlette: cookies, origins, addresses, redirects, bodies, problems, routes."""
