"""Menus over HTTP: whoever has the newest gets no body."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID

from fastapi import FastAPI, Header, Request, Response
from pydantic import BaseModel

from services.catalog.menu.application import MenuBoard
from services.catalog.menu.domain import is_named_in
from services.contracts import access
from services.contracts.access import Action
from services.kit.http.application import make_router
from services.kit.http.tokens import Caller

router = make_router("/zones/{zone_id}/menu")


class MenuLineView(BaseModel):
    """A product, the most that a sale unit of it will cost, its cap, and the units there are."""

    product_id: UUID
    name: str
    unit_name: str
    category: str
    grams: int
    price_fen: int
    cap_fen: int | None
    available: int


class MenuView(BaseModel):
    """What a zone can order now."""

    zone_id: UUID
    lines: list[MenuLineView]


@router.get("", response_model=MenuView, responses={304: {"description": "The reader has this menu"}})
async def get_menu(
    zone_id: UUID, request: Request, caller: Caller, if_none_match: Annotated[str | None, Header()] = None
) -> Response:
    """Return what a zone can order; with `If-None-Match` only when that has changed."""
    access.require(caller, Action.READ_MENU)
    board: MenuBoard = request.app.state.menus
    menu = await board.read(zone_id)
    # Only for whoever asked: a shared cache between does not check tokens.
    head = {"etag": menu.etag, "cache-control": "private, max-age=2"}
    if if_none_match is not None and is_named_in(if_none_match, menu.etag):
        return Response(status_code=304, headers=head)
    return Response(menu.body, media_type="application/json", headers=head)


@asynccontextmanager
async def hang_board(app: FastAPI) -> AsyncIterator[None]:
    """Give an application its board of menus."""
    app.state.menus = MenuBoard(app.state.sessions, seconds=app.state.settings.menu_seconds)
    yield
