"""What catalog does when others have said something; one handler gets at most one event of a key."""

from services.kit.consumer import Handlers

HANDLERS: Handlers = {}
