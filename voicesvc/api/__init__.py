"""FastAPI: parse, call the studio, respond. One router per resource."""

from voicesvc.api.app import create_app

__all__ = ["create_app"]
