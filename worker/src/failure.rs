//! How a handler says that it could not do a task.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use taskgrid_protocol::body::{self, Span};
use taskgrid_protocol::error::task_code;
use taskgrid_protocol::limits::SPAN_MAX;

/// Why a handler could not do a task, and whether another attempt may fare better.
///
/// `?` makes one of every [`std::error::Error`], to be tried again, with the errors behind it in its message:
///
/// ```
/// use taskgrid_worker::{Failure, Task};
///
/// async fn first_line(task: Task<String>) -> Result<String, Failure> {
///     let text = std::fs::read_to_string(&task.payload)?;
///     let line = text.lines().next().ok_or_else(|| Failure::permanent("the file is empty"))?;
///     Ok(line.to_owned())
/// }
/// ```
///
/// Everything else names its kind. [`Failure::retry`] and [`Failure::permanent`] take a text, an error, a
/// `Box<dyn Error + Send + Sync>` or an `anyhow::Error`, and so fit into `map_err`:
///
/// ```
/// # use taskgrid_worker::Failure;
/// # fn example(written: &str) -> Result<u32, Failure> {
/// let width: u32 = written.parse().map_err(Failure::permanent)?;
/// # Ok(width)
/// # }
/// # assert!(example("12").is_ok() && example("twelve").is_err());
/// ```
///
/// A type of your own decides for itself, if it is no `std::error::Error`; a handler may then return it as it is:
///
/// ```
/// use std::time::Duration;
/// use taskgrid_worker::{Failure, Task, Worker};
///
/// enum Refusal {
///     Busy,
///     Unknown,
/// }
///
/// impl From<Refusal> for Failure {
///     fn from(refusal: Refusal) -> Self {
///         match refusal {
///             Refusal::Busy => Self::retry_after(Duration::from_secs(5), "the printer is busy"),
///             Refusal::Unknown => Self::permanent("there is no such printer"),
///         }
///     }
/// }
///
/// let worker = Worker::builder().handler("print", |task: Task<String>| async move {
///     if task.payload == "laser" { Err(Refusal::Busy) } else { Err::<(), _>(Refusal::Unknown) }
/// });
/// ```
///
/// The message is stored, listed and logged: leave out of it what is secret in a payload. Messages are kept up to
/// 4,096 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(body::Failure);

impl Failure {
    /// Another attempt may fare better: after a pause that grows with each, by another worker if there is one,
    /// until the task's attempts are spent.
    pub fn retry(why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(body::Failure::passing(task_code::FAILED, chain(why.into().as_ref())))
    }

    /// The same, where it is known when trying again makes sense: at most ten years from now.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use taskgrid_worker::Failure;
    /// let failure = Failure::retry_after(Duration::from_secs(60), "the quota is used up");
    /// ```
    pub fn retry_after(pause: Duration, why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let Self(failure) = Self::retry(why);
        Self(body::Failure { retry_after_s: Some(Span(pause.min(SPAN_MAX))), ..failure })
    }

    /// No attempt will fare better: the task has failed.
    pub fn permanent(why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let Self(failure) = Self::retry(why);
        Self(body::Failure { retry: false, ..failure })
    }

    /// With a code for programs, of at most 64 bytes, in place of `FAILED`. That of a payload which no attempt can
    /// use is `BAD_PAYLOAD`.
    ///
    /// ```
    /// # use taskgrid_worker::Failure;
    /// let failure = Failure::permanent("the image has no pixels").with_code("BAD_PAYLOAD");
    /// ```
    #[must_use]
    pub fn with_code(self, code: &str) -> Self {
        Self(body::Failure { code: code.to_owned(), ..self.0 })
    }

    /// As it goes to the dispatcher.
    pub(crate) fn into_body(self) -> body::Failure {
        self.0
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.message.fmt(f)
    }
}

/// What `?` does. An error says nothing of whether it passes; one that is taken for passing in vain costs a few
/// attempts, the other way round it costs the task.
impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(body::Failure::passing(task_code::FAILED, chain(&error)))
    }
}

/// An error and those behind it. Some say in their own words what is behind them; that is not said twice.
fn chain(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut behind = error.source();
    while let Some(error) = behind {
        let text = error.to_string();
        if !message.ends_with(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        behind = error.source();
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An error with another behind it.
    #[derive(Debug)]
    struct Layer(&'static str, fmt::Error);

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    /// A type of a user's that knows what passes.
    struct Busy;

    impl From<Busy> for Failure {
        fn from(_: Busy) -> Self {
            Self::retry_after(Duration::MAX, "busy")
        }
    }

    #[test]
    fn what_an_error_says_is_followed_by_what_is_behind_it_once() {
        let behind = fmt::Error.to_string();
        let failure = Failure::from(Layer("cannot write", fmt::Error));
        assert_eq!(failure.to_string(), format!("cannot write: {behind}"));
        let said: &'static str = Box::leak(format!("cannot write ({behind}): {behind}").into_boxed_str());
        assert_eq!(Failure::permanent(Layer(said, fmt::Error)).to_string(), said);
    }

    #[test]
    fn each_kind_says_whether_and_when_to_try_again() {
        let kind = |failure: Failure| (failure.0.retry, failure.0.retry_after_s.map(|span| span.0));
        assert_eq!(kind(fmt::Error.into()), (true, None));
        assert_eq!(kind(Failure::retry("text")), (true, None));
        assert_eq!(kind(Failure::permanent(String::from("text"))), (false, None));
        assert_eq!(kind(Failure::retry_after(Duration::from_secs(9), "text")), (true, Some(Duration::from_secs(9))));
        assert_eq!(kind(Busy.into()), (true, Some(SPAN_MAX)));
        assert_eq!(Failure::permanent("text").with_code("NO_FUNDS").0.code, "NO_FUNDS");
    }
}
