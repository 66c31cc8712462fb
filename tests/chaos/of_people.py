"""I8: nobody who is not cleared is sent, and who handed over all the same is on record for it."""

from tests.chaos.books import Books

# What whitelist said of a person last, of all it had said by a moment.
SAID = """
    LEFT JOIN LATERAL (
        SELECT is_suspended, CASE zones.zone_class WHEN 'sealed' THEN sealed_until
               WHEN 'controlled' THEN controlled_until ELSE precaution_until END AS until
        FROM crew_history AS said
        WHERE said.person_id = {person} AND said.said_from <= {moment} ORDER BY sequence DESC LIMIT 1
    ) AS clearance ON true
"""
UNCLEARED = "(clearance.until IS NULL OR clearance.until < {moment} OR clearance.is_suspended)"
# A suspension reaches dispatch in 5 s (P11), in a trial where dispatch may be dead for a while, in a minute.
SEATED = f"""
    SELECT trip_id, trip_seats.driver_id, seated_at FROM trip_seats JOIN trips USING (trip_id)
    JOIN zones ON zones.zone_id = ANY(trips.zone_ids)
    {SAID.format(person="trip_seats.driver_id", moment="seated_at - interval '60 seconds'")}
    WHERE NOT trip_seats.is_degraded
      AND EXISTS (SELECT FROM crew_history WHERE person_id = trip_seats.driver_id
                  AND said_from <= seated_at - interval '60 seconds')
      AND {UNCLEARED.format(moment="seated_at")}
"""
HANDED = f"""
    SELECT hand_over_id, hand_overs.leg, taker_id, reckoned_at FROM hand_overs
    JOIN load_units USING (load_unit_id) JOIN loads USING (load_id) JOIN zones USING (zone_id)
    {SAID.format(person="taker_id", moment="reckoned_at")}
    WHERE hand_overs.leg IN (1, 2) AND NOT is_breach AND NOT is_degraded
      AND {UNCLEARED.format(moment="reckoned_at")}
"""
UNRECORDED = """
    SELECT hand_over_id, is_breach, breach_id FROM hand_overs LEFT JOIN breaches USING (hand_over_id)
    WHERE is_breach <> (breach_id IS NOT NULL)
"""


async def find_uncleared(books: Books) -> list[str]:
    """I8: no seat for who was not cleared; every hand-over by one is flagged, and has its breach record."""
    return [
        f"{words}: {dict(row)}"
        for words, question in (
            ("seated and not cleared", SEATED),
            ("took over, was not cleared, and is not flagged", HANDED),
            ("a flag without its record, or a record without its flag", UNRECORDED),
        )
        for row in await books.rows("dispatch", question)
    ]
