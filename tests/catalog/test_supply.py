from services.catalog.supply import queries
from services.kit.ids import new_id


async def test_an_unknown_zone_has_no_outlets(service_sessions) -> None:
    zone_id = new_id()
    async with service_sessions() as session:
        assert await queries.outlets_of_zone(session, [zone_id]) == {zone_id: ()}
