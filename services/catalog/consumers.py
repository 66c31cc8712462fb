"""What catalog does when others have said something: one function an event, at most one of a key in a call."""

from services.kit.consumer import Handlers

HANDLERS: Handlers = {}
