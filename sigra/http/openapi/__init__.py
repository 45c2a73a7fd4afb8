"""The OpenAPI 3.1 document of the mount path, made of the routes and the models that the code itself uses."""

from sigra.http.openapi.document import check, document
from sigra.http.openapi.face import Face
from sigra.http.openapi.problems import CODES
from sigra.http.openapi.schemas import JSON

__all__ = ["CODES", "JSON", "Face", "check", "document"]
