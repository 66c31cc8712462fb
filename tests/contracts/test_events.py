from services.contracts import examples, registry


def test_every_event_has_a_published_example_that_survives_the_wire() -> None:
    kinds = registry.events()
    assert set(examples.EXAMPLES) == set(kinds)
    for name, kind in kinds.items():
        example = examples.EXAMPLES[name]
        assert type(example) is kind
        assert kind.model_validate_json(example.model_dump_json()) == example


def test_a_wire_name_says_who_speaks_and_which_version() -> None:
    for name, kind in registry.events().items():
        service, event, version = name.split(".")
        assert service == kind.topic
        assert version.startswith("v")
        assert event == event.lower()
