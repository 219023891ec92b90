"""What strangers write into templates, tried at every door: a clear 400, and others wait for none.

The web process itself never compiles or renders: the last tests take the means away from it.
"""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from notifications.models import NotificationMessage, TemplateVersion
from notifications.rendering import engine
from notifications.rendering.language import meter
from tests.integration.api.conftest import KeyClient, send_body
from tests.integration.factories import make_template, make_user
from tests.pace import within

pytestmark = [pytest.mark.django_db, pytest.mark.processes, pytest.mark.once]
TEMPLATES = "/api/v1/templates"
SEND = "/api/v1/notifications/send"
DOUBLING = (
    "{% set ns=namespace(s=[1],t=[1]) %}{% for i in range(60) %}"
    "{% set ns.s=[0,1]|map(attribute='q',default=ns.s)|list %}"
    "{% set ns.t=[0,1]|map(attribute='q',default=ns.t)|list %}{% endfor %}"
)
CAROUSEL = (
    "<mjml><mj-body><mj-section><mj-column><mj-carousel>"
    + "<mj-carousel-image src='x' />" * 3_300
    + "</mj-carousel></mj-column></mj-section></mj-body></mjml>"
)
GROWING = {
    "lists that double, compared": DOUBLING + "{{ ns.s == ns.t }}",
    "lists that double, as a test": DOUBLING + "{{ ns.s is eq(ns.t) }}",
    "lists that double, picked by a test": DOUBLING + "{{ [ns.s]|select('eq', ns.t)|list }}",
    "lists that double, looked for in one": DOUBLING + "{{ ns.s in [ns.t] }}",
    "lists that double, counted": DOUBLING + "{{ [ns.s].count(ns.t) }}",
    "lists that double, written out by a test": DOUBLING + "{{ ns.s is lower }}",
    "lists that double, as a key": DOUBLING + "{{ {}[ns.s] }}",
    "lists that double, in a namespace": DOUBLING + "{{ ns|string|length }}",
    "lists that double, to be replaced": DOUBLING + "{{ 'x'|replace(ns.s, 'a') }}",
    "lists that double, between words": DOUBLING + "{{ ['a', 'b']|join(ns.s) }}",
    "lists that double, sorted": DOUBLING + "{{ [ns.s, ns.t]|sort|length }}",
    "lists that double, that changed": (
        DOUBLING + "{% for i in [1, 2] %}{{ loop.changed(ns.s) }}{% endfor %}"
    ),
    "long texts sorted": (
        "{{ range(10000)|map(attribute='q',default='x'*100000)|list|sort|length }}"
    ),
    "long texts made unique": (
        "{{ range(10000)|map(attribute='q',default='x'*100000)|list|unique|list|length }}"
    ),
    "the longest of long texts": (
        "{{ range(10000)|map(attribute='q',default='x'*100000)|list|max|length }}"
    ),
    "a number out of letters": "{{ ('f'*100000)|int(0,16) // ('e'*50000)|int(0,16) }}",
    "the rest of a long division": "{{ ('f'*100000)|int(0,16) % 7 }}",
    "a long path of attributes": (
        "{% set ns=namespace() %}{% set ns.a=ns %}"
        "{{ range(10000)|map(attribute='" + "a." * 20000 + "a')|list|length }}"
    ),
    "words without end": "{{ ('a ' * 50000)|truncate_words(10**9)|length }}",
    "outputs without end": "{{ user.id }}" * 7_500,
}
MALFORMED = {
    "a literal of 4,400 digits": "{{ " + "1" * 4_400 + " }}",
    "a literal of 4,400 digits behind another fault": "{{ %} {{ " + "1" * 4_400 + " }}",
    "a hexadecimal literal of 4,400 digits": "{{ 0x" + "f" * 4_400 + " }}",
    "a loop named loop": "{% for loop in [1] %}{{ loop }}{% endfor %}",
    "an argument given twice": "{{ range(a=1, a=2) }}",
    "a macro's argument given twice": "{% macro m(a, a) %}{% endmacro %}",
    "an operand of depths": "{{ " + "a + " * 3_000 + "1 }}",
    "a mark of ours": "zqjz0{# #}zjqz{{ user.id }}",
}


@pytest.fixture
def author(with_key: KeyClient) -> APIClient:
    return with_key("templates:read", "templates:write", "notifications:send")


def reported(client: APIClient, **texts: Any) -> Any:
    with within(10):
        answer = client.post(f"{TEMPLATES}/validate", texts)
    assert answer.status_code == 200
    return answer.data


@pytest.mark.parametrize("kind", GROWING)
def test_what_grows_without_end_is_a_limit_for_its_author(author: APIClient, kind: str) -> None:
    answer = reported(author, in_app_template=GROWING[kind])

    assert answer["valid"] is False
    assert {each["code"] for each in answer["errors"]} == {"template_limit"}


@pytest.mark.parametrize("kind", GROWING)
def test_what_grows_without_end_is_not_published(author: APIClient, kind: str) -> None:
    body = {"name": "x", "path": "a.b", "in_app_template": GROWING[kind], "status": "published"}

    answer = author.post(TEMPLATES, body)

    assert (answer.status_code, answer.data["code"]) == (400, "template_limit")
    assert not TemplateVersion.objects.exists()


@pytest.mark.parametrize("kind", MALFORMED)
@pytest.mark.parametrize("field", ["in_app_template", "email_html_template"])
def test_what_makes_a_compiler_stumble_is_reported(
    author: APIClient, kind: str, field: str
) -> None:
    answer = author.post(
        TEMPLATES, {"name": "x", "path": "a.b", field: MALFORMED[kind], "status": "published"}
    )

    assert answer.status_code == (201 if kind == "a mark of ours" else 400)
    if answer.status_code == 400:
        assert answer.data["code"] in ("template_syntax", "missing_variable")


def test_a_page_that_swells_while_it_is_compiled_is_a_limit(author: APIClient) -> None:
    answer = reported(author, email_html_template=CAROUSEL)

    assert [(each["path"], each["code"]) for each in answer["errors"]] == [
        ("email_html_template", "template_limit")
    ]


@pytest.mark.parametrize(
    "texts",
    [
        {"push_template": "x" * 60_000},
        {"in_app_template": " " * 1_000 + "x" * 1_000},
        {"email_html_template": "<style>a{b:c}</style><" + "a" * 20_000},
    ],
    ids=["one word", "blanks, then a word", "an unfinished tag"],
)
def test_a_long_text_is_read_at_once(author: APIClient, texts: dict[str, str]) -> None:
    reported(author, **texts)  # starts the process
    with within(1):
        answer = reported(author, **texts)

    assert {each["code"] for each in answer["errors"]} <= {"push_too_long"}


@pytest.mark.parametrize(
    ("body", "place", "code"),
    [
        ({"push_template": "x" * 100_001}, "push_template", "too_long"),
        ({"translations": {"ru": {"sms_template": "x" * 100_001}}}, None, "too_long"),
        ({"translations": {f"l{n}": {} for n in range(101)}}, "translations", "too_many"),
        (
            {"translations": {f"aa_{n}": {"sms_template": "x" * 99_000} for n in range(11, 23)}},
            "translations",
            "too_long",
        ),
        ({"required_variables": ["a"] * 501}, "required_variables", "too_many"),
        ({"optional_variables": ["a" * 201]}, "optional_variables", "invalid"),
    ],
    ids=["a text", "a translation", "locales", "all texts", "variables", "a variable"],
)
def test_lengths_are_looked_at_before_anything_is_read(
    author: APIClient, body: dict[str, Any], place: str | None, code: str
) -> None:
    answer = reported(author, **body)

    found = [(each["path"], each["code"]) for each in answer["errors"]]
    assert found[0][1] == code
    assert place is None or found[0][0] == place


def test_a_huge_context_is_a_limit_for_its_sender_alone(author: APIClient) -> None:
    make_template(
        "test.loop",
        in_app_template="T\n\n{% for a in amount %}{% for b in amount %}x{% endfor %}{% endfor %}",
        supported_channels=["in_app"],
    )
    reader = make_user()

    bad = author.post(
        SEND, send_body(reader, template_path="test.loop", context={"amount": [1] * 2_000})
    )
    good = author.post(
        SEND, send_body(reader, template_path="test.loop", context={"amount": [1, 2]})
    )

    assert (bad.status_code, bad.data["code"]) == (400, "template_limit")
    assert good.status_code == 201
    assert NotificationMessage.objects.count() == 1


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
def test_a_number_beyond_64_bits_is_refused(author: APIClient, number: int) -> None:
    make_template("test.hello", in_app_template="{{ amount }}", supported_channels=["in_app"])
    reader = make_user()
    context = {"amount": 1, "order": {"lines": [number]}}

    answer = author.post(SEND, send_body(reader, channel="in_app", context=context))

    assert (answer.status_code, answer.data["code"]) == (400, "number_out_of_range")
    assert answer.data["errors"][0]["path"] == "context.order.lines[0]"


@pytest.mark.parametrize("number", [2**64 - 1, -(2**63)])
def test_a_number_of_64_bits_is_taken(author: APIClient, number: int) -> None:
    make_template("test.hello", in_app_template="{{ amount }}", supported_channels=["in_app"])

    answer = author.post(SEND, send_body(make_user(), channel="in_app", context={"amount": number}))

    assert answer.status_code == 201


def test_such_a_number_is_refused_in_every_context(author: APIClient) -> None:
    row = make_template("test.hello", in_app_template="{{ amount }}", supported_channels=["in_app"])
    reader, big = make_user(), {"amount": 2**64}
    bulk = {"template_path": "test.hello", "channel": "in_app", "context": {"amount": 1}}

    shared = author.post(
        "/api/v1/notifications/bulk",
        {**bulk, "context": big, "recipients": [{"user_id": reader.pk}]},
    )
    own = author.post(
        "/api/v1/notifications/bulk",
        {**bulk, "recipients": [{"user_id": reader.pk, "context": big}]},
    )
    preview = author.post(f"{TEMPLATES}/{row.pk}/preview", {"context": big})
    example = author.put(f"{TEMPLATES}/{row.pk}", {"example_context": big})

    assert (shared.status_code, shared.data["code"]) == (400, "number_out_of_range")
    assert [each["code"] for each in own.data["rejected"]] == ["number_out_of_range"]
    assert (preview.status_code, preview.data["code"]) == (400, "number_out_of_range")
    assert (example.status_code, example.data["code"]) == (400, "number_out_of_range")


@pytest.fixture
def _unable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes from this process the means to compile and to render."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the web process works on a template itself")

    monkeypatch.setattr(engine.CompiledText, "__init__", refuse)
    monkeypatch.setattr(engine.CompiledText, "render", refuse)
    monkeypatch.setattr(meter.Meter, "__init__", refuse)


@pytest.mark.usefixtures("_unable")
def test_no_call_about_templates_compiles_or_renders_in_the_web_process(author: APIClient) -> None:
    layout = author.post(
        TEMPLATES,
        {
            "name": "layout",
            "path": "layouts.mail",
            "in_app_template": "{% block a %}{% endblock %}",
            "status": "published",
        },
    ).data["id"]
    texts = {
        "in_app_template": "{% extends 'layouts.mail' %}{% block a %}{{ amount }}{% endblock %}",
        "email_html_template": "<style>a{color:red}</style><a>{{ amount }}</a>",
        "required_variables": ["amount"],
    }
    made = author.post(TEMPLATES, {"name": "x", "path": "a.b", **texts, "status": "published"})
    assert made.status_code == 201
    one = f"{TEMPLATES}/{made.data['id']}"

    answers = [
        author.post(f"{TEMPLATES}/validate", texts),
        author.post(f"{one}/validate", {}),
        author.post(f"{one}/preview", {"context": {"amount": 1}}),
        author.put(one, {"in_app_template": "Second {{ amount }}"}),
        author.post(f"{one}/publish", {}),
        author.get(f"{one}/diff?from=1"),
        author.post(f"{one}/rollback", {}),
        author.put(f"{TEMPLATES}/{layout}", {"in_app_template": "-{% block a %}{% endblock %}-"}),
        author.post(f"{TEMPLATES}/{layout}/publish", {"dependants": True}),
        author.get(TEMPLATES),
    ]

    assert {answer.status_code for answer in answers} == {200}
    assert answers[8].data["republished"] == ["a.b"]


@pytest.mark.usefixtures("_unable")
def test_no_send_renders_in_the_web_process(author: APIClient) -> None:
    make_template("test.hello", in_app_template="{{ amount }}", supported_channels=["in_app"])
    reader = make_user()
    body = send_body(reader, channel="in_app", context={"amount": 1})

    sent = author.post(SEND, body)
    simulated = author.post("/api/v1/notifications/simulate", body)
    bulk = author.post(
        "/api/v1/notifications/bulk",
        {
            "template_path": "test.hello",
            "channel": "in_app",
            "context": {"amount": 1},
            "recipients": [{"user_id": reader.pk}],
        },
    )

    assert (sent.status_code, simulated.status_code, bulk.status_code) == (201, 200, 202)
    assert simulated.data["messages"][0]["content"]["body"] == "1"
