//! The payload of a task, from the command line or from standard input.

use taskgrid_protocol::Json;
use taskgrid_protocol::limits::VALUE_MAX;

use super::{Console, Exit};

/// What is read of standard input. A text of more bytes than [`VALUE_MAX`] is too long in any case; JSON may
/// have white space around it, which does not count.
const INPUT_MAX: usize = 16 * VALUE_MAX;

/// Takes `argument`, or standard input where that is `-`, as JSON or as a string.
pub(super) fn read_payload(console: &mut Console, argument: &str, is_json: bool) -> Result<Json, Exit> {
    let text = if argument == "-" { read_input(console)? } else { argument.to_owned() };
    if !is_json {
        return Ok(Json::string(&text));
    }
    Json::parse(&text).map_err(|error| {
        console.usage_error(&format!("the payload is not JSON: {error}; without --json it is sent as a string"))
    })
}

fn read_input(console: &mut Console) -> Result<String, Exit> {
    let bytes = match console.read_input(INPUT_MAX) {
        Ok(bytes) => bytes,
        Err(error) => return Err(console.usage_error(&format!("standard input could not be read: {error}"))),
    };
    if bytes.len() > INPUT_MAX {
        console.tell(&format!(
            "Refused: the payload has more than {INPUT_MAX} bytes, the limit is {VALUE_MAX}; store the data elsewhere \
             and send its address (TOO_LARGE)."
        ));
        return Err(Exit::Refused);
    }
    String::from_utf8(bytes)
        .map_err(|_| console.usage_error("the payload is not UTF-8 text; encode it, for example with base64"))
}
