"""How a route of orders comes by the master key of its vault."""

from typing import Annotated

from fastapi import Depends, Request

from services.kit.vault import Master


async def _read_master(request: Request) -> Master:
    state = request.app.state
    # Read at the first need: documents and probes of the service are served without it.
    if not hasattr(state, "master"):
        state.master = Master.of_file(state.settings.master_key)
    master: Master = state.master
    return master


MasterKey = Annotated[Master, Depends(_read_master)]
