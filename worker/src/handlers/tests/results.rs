//! What Python handlers return, and what becomes of it as JSON.

use super::python::{fails, returns};

/// A file whose `handle` returns the value of an expression.
fn returning(expression: &str) -> String {
    const NAMES: &str = "\
import collections, dataclasses, datetime, decimal, enum, uuid
class Colour(enum.Enum): RED = 'red'
class Name(str, enum.Enum): RED = 'red'
class Level(enum.IntEnum): LOW = 1
class Flags(enum.Flag): A = 4
Pair = collections.namedtuple('Pair', 'x y')
@dataclasses.dataclass
class Row:
    id: uuid.UUID
    when: object
    def total(self): return 1
class Odd:
    def __dataclass_fields__(self): pass
def circle():
    around = {'rows': []}
    around['rows'].append(around)
    return around
def ring():
    row = Row(None, None)
    row.when = row
    return row
def nested(levels):
    value = 1
    for _ in range(levels): value = [value]
    return value
";
    format!("{NAMES}def handle(payload):\n    return {expression}\n")
}

#[tokio::test]
async fn well_known_types_have_a_json_form() {
    for (expression, json) in [
        ("datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)", r#""2026-01-02T03:04:05+00:00""#),
        ("[datetime.date(2026, 1, 2), datetime.time(3, 4)]", r#"["2026-01-02","03:04:00"]"#),
        ("uuid.UUID(int=7)", r#""00000000-0000-0000-0000-000000000007""#),
        ("{'price': decimal.Decimal('1.10')}", r#"{"price":"1.10"}"#),
        ("[Colour.RED, Name.RED, Level.LOW, Flags.A]", r#"["red","red",1,4]"#),
        (
            "Row(uuid.UUID(int=7), [Row(None, Colour.RED)])",
            r#"{"id":"00000000-0000-0000-0000-000000000007","when":[{"id":null,"when":"red"}]}"#,
        ),
        ("Pair(1, (2, 3))", "[1,[2,3]]"),
        ("{1: 1, 1.5: 2, None: 3, True and 'x': 4}", r#"{"1":1,"1.5":2,"null":3,"x":4}"#),
        ("[{'a': 1}] * 40", &format!("[{}]", [r#"{"a":1}"#; 40].join(","))),
        ("'[' * 40", &format!("{:?}", "[".repeat(40))),
        ("nested(32)", &format!("{}1{}", "[".repeat(32), "]".repeat(32))),
    ] {
        returns(&returning(expression), "null", json).await;
    }
}

#[tokio::test]
async fn a_result_that_is_no_json_fails_for_good_and_its_place_is_named() {
    for (expression, place) in [
        ("{'rows': [1, 2, 3, {'when': {1}}]}", "at $.rows[3].when: set"),
        ("b'x'", "at $: bytes"),
        ("[float('nan')]", "at $[0]: nan"),
        ("{'a b': -float('inf')}", "at $['a b']: -inf"),
        ("{'name': '\\ud800'}", "at $.name: a lone surrogate"),
        ("{'\\udc00': 1}", "at $: a lone surrogate in the key '\\udc00'"),
        ("[{(1, 2): 3}]", "at $[0]: a key of type tuple"),
        ("{Colour.RED: 3}", "at $: a key of type Colour"),
        ("{'x': {1: 'a', '1': 'b'}}", "at $.x: two keys that are both '1' in JSON"),
        ("{None: 'a', 'null': 'b'}", "at $: two keys that are both 'null' in JSON"),
        ("nested(33)", "nested deeper than 32 levels"),
        ("nested(100_000)", "nested deeper than 32 levels"),
        ("circle()", "at $.rows[0]: dict that holds itself"),
        ("ring()", "at $.when: Row that holds itself"),
        ("[datetime.timedelta(1)]", "at $[0]: timedelta"),
        ("Row(object(), 1)", "at $.id: object"),
        ("(x for x in 'abc')", "at $: generator"),
        ("Row", "at $: type"),
        ("[Odd()]", "at $[0]: Odd"),
        ("10 ** 400", "number out of range"),
        ("{'n': 10 ** 9_999}", "at $.n: int of more than 308 digits"),
    ] {
        fails(&returning(expression), &[place], false).await;
    }
}
