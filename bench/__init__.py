"""How much a signed-in request costs, beside a bare application, raw drivers and a peer: `make bench`."""
