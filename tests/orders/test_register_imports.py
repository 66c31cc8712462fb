from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from services.contracts.orders import AreaLevel
from services.kit.ids import new_id
from services.orders.register import certificates, planting
from services.orders.register.certificates import Certificate
from services.orders.register.planting import Node, Outcome, Wanted

NOW = datetime(2022, 11, 20, tzinfo=UTC)


def want(code, level=AreaLevel.STREET, parent=None, **given_):
    rest = {"title": code, "gate": None, "head_count": 0}
    return Wanted(**{"code": code, "level": level, "parent_code": parent, **rest, **given_})


def judge(wanted, standing=(), *, reaches=lambda _path: False):
    nodes = {node.wanted.code: node for node in standing}
    return planting.judge(wanted, nodes, new_ids=[new_id() for _ in wanted], reaches=reaches)


levels = st.sampled_from(list(AreaLevel))
codes = st.sampled_from("abcdefgh")
areas = st.lists(st.tuples(codes, levels, st.none() | codes), max_size=12)


@given(areas)
def test_whatever_is_given_what_is_planted_hangs_in_one_tree(given_) -> None:
    wanted = [want(code, level, parent) for code, level, parent in given_]
    judged = judge(wanted)
    planted = {
        each.area_id: (item, each)
        for item, each in zip(wanted, judged, strict=True)
        if each.area_id is not None
    }
    ids = {item.code: area_id for area_id, (item, _) in planted.items()}
    assert len(ids) == len(planted)
    for area_id, (item, each) in planted.items():
        assert each.outcome is Outcome.CREATED
        assert each.path[-1] == area_id
        assert set(each.path) <= set(planted)
        ranks = [planting.RANK[planted[above][0].level] for above in each.path]
        assert ranks == sorted(set(ranks))
        parent = each.path[-2] if len(each.path) > 1 else None
        assert parent == (ids[item.parent_code] if item.parent_code else None)
    for each in judged:
        assert (each.area_id is None) == (each.outcome is Outcome.REFUSED) == bool(each.code)


def test_of_a_code_given_twice_the_first_says_what_may_grow_on_it() -> None:
    judged = judge(
        [
            want("a", AreaLevel.COMMUNITY),
            want("b", AreaLevel.COMMUNITY, "a"),
            want("a", AreaLevel.DISTRICT),
        ]
    )
    assert [(each.outcome, each.code) for each in judged] == [
        (Outcome.CREATED, ""),
        (Outcome.REFUSED, "orders.level_not_below"),
        (Outcome.REFUSED, "orders.code_repeated"),
    ]


def test_what_grows_on_a_new_root_needs_no_reach_and_what_grows_on_anothers_does() -> None:
    root = Node(area_id=new_id(), wanted=want("old"), path=())
    root = Node(area_id=root.area_id, wanted=root.wanted, path=(root.area_id,))
    judged = judge(
        [want("new"), want("mine", AreaLevel.COMMUNITY, "new"), want("theirs", AreaLevel.COMMUNITY, "old")],
        [root],
    )
    assert [each.outcome for each in judged] == [Outcome.CREATED, Outcome.CREATED, Outcome.REFUSED]
    assert judged[2].code == "kit.forbidden"
    (reached,) = judge(
        [want("theirs", AreaLevel.COMMUNITY, "old")], [root], reaches=lambda path: root.area_id in path
    )
    assert reached.path[0] == root.area_id


def test_another_signer_or_another_statement_is_not_genuine() -> None:
    scope_id = new_id()
    done = certificates.Destruction(
        kind="incident", scope_id=scope_id, sealed_records={"notes": 2}, kept=(), destroyed_at=NOW
    )
    issued, other = certificates.issue(b"a" * 32, done), certificates.issue(b"b" * 32, done)
    assert certificates.is_genuine(issued)
    assert not certificates.is_genuine(Certificate(issued.statement, issued.signature, other.public_key))
    assert not certificates.is_genuine(
        Certificate(issued.statement + " ", issued.signature, issued.public_key)
    )
    assert not certificates.is_genuine(Certificate(issued.statement, issued.signature, b"short"))
