//! What the daemon's clients have in common: where it is, what is printed, and how.

use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};

use comfy_table::{ContentArrangement, Table, presets};
use sealnic_driver::control::Client;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::CommandError;

/// Environment variable that names the socket.
const SOCKET_VARIABLE: &str = "SEALNIC_SOCKET";

/// Options of every client.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Common {
    /// Socket of the daemon; else the one that SEALNIC_SOCKET names, else $XDG_RUNTIME_DIR/sealnic/default.sock, else the only one beside it.
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Objects for `add`, as JSON.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Input {
    /// Take objects from FILE, "-" for standard input: a JSON object or a list of them, as `list --json` prints it.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: Option<PathBuf>,
}

impl Input {
    /// The objects of the file, when one was named.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<Option<Vec<T>>, CommandError> {
        let Some(path) = &self.input else {
            return Ok(None);
        };
        let bad = |error: &dyn std::fmt::Display| CommandError::Input {
            path: path.clone(),
            problem: error.to_string(),
        };
        let text = read_text(path).map_err(|error| bad(&error))?;
        let is_list = text.trim_start().starts_with('[');
        let objects = if is_list {
            serde_json::from_str(&text)
        } else {
            serde_json::from_str(&text).map(|object| vec![object])
        };
        objects.map(Some).map_err(|error| bad(&error))
    }
}

/// Longest input, in octets: what the daemon takes in one request, and room for its spaces.
const MAX_INPUT_LEN: u64 = 64 << 20;

/// The text of a file, or of standard input.
pub(crate) fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        io::stdin().lock().take(MAX_INPUT_LEN).read_to_string(&mut text)
    } else {
        std::fs::File::open(path)?.take(MAX_INPUT_LEN).read_to_string(&mut text)
    }?;
    if u64::try_from(read).unwrap_or(u64::MAX) == MAX_INPUT_LEN {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too large"));
    }
    Ok(text)
}

impl Common {
    /// A connection to the daemon.
    pub(crate) fn connect(&self) -> Result<Client, CommandError> {
        let variable = std::env::var_os(SOCKET_VARIABLE).filter(|path| !path.is_empty());
        let variable = variable.map(PathBuf::from);
        Ok(Client::connect(self.socket.as_deref().or(variable.as_deref()))?)
    }

    /// Prints what `op` lists, restricted to what `wanted` says.
    pub(crate) fn list<V: DeserializeOwned + Serialize, const N: usize>(
        &self,
        op: &str,
        wanted: impl Fn(&V) -> bool,
        header: [&str; N],
        row: impl Fn(&V) -> [String; N],
    ) -> Result<(), CommandError> {
        let mut all: Vec<V> = self.connect()?.list(op)?;
        all.retain(wanted);
        self.print(&all, |out| {
            let mut table = table(header);
            for value in &all {
                table.add_row(row(value));
            }
            writeln!(out, "{}", table.trim_fmt())
        })
    }

    /// Prints the one object of a list that is wanted, field by field.
    pub(crate) fn show<V: DeserializeOwned + Serialize>(
        &self,
        op: &str,
        what: &str,
        wanted: impl Fn(&V) -> bool,
    ) -> Result<(), CommandError> {
        let all: Vec<V> = self.connect()?.list(op)?;
        let Some(value) = all.iter().find(|value| wanted(value)) else {
            return Err(CommandError::NotThere(what.to_owned()));
        };
        self.print_fields(value)
    }

    /// Prints an object, field by field.
    pub(crate) fn print_fields(&self, value: &impl Serialize) -> Result<(), CommandError> {
        self.print(value, |out| {
            let mut table = plain_table();
            fields(&mut table, "", &serde_json::to_value(value)?);
            writeln!(out, "{}", table.trim_fmt())
        })
    }

    /// Has the daemon carry out an operation on objects, in pieces that fit a request; says how many it was about.
    pub(crate) fn each<T: Serialize>(&self, op: &str, verb: &str, items: &[T]) -> Result<(), CommandError> {
        let mut client = self.connect()?;
        let mut count = 0;
        for items in items.chunks(ITEMS_AT_ONCE) {
            let done: Value = client.call(op, &serde_json::json!({ "items": items }))?;
            count += done["count"].as_u64().unwrap_or_default();
        }
        self.say_count(count, verb)
    }

    /// Has the daemon carry out an operation; prints its count.
    pub(crate) fn act(&self, op: &str, verb: &str, args: &impl Serialize) -> Result<(), CommandError> {
        let done: Value = self.connect()?.call(op, args)?;
        self.say_count(done["count"].as_u64().unwrap_or(1), verb)
    }

    pub(crate) fn say_count(&self, count: u64, verb: &str) -> Result<(), CommandError> {
        self.print(&serde_json::json!({ "count": count }), |out| {
            writeln!(out, "{count} {verb}")
        })
    }

    /// Prints a value as JSON when that was asked for, and else as `text` writes it.
    pub(crate) fn print(
        &self,
        value: &impl Serialize,
        text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), CommandError> {
        print(self.json, value, text)
    }
}

/// Prints a value as JSON, or as `text` writes it.
pub(crate) fn print(
    json: bool,
    value: &impl Serialize,
    text: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), CommandError> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    if json {
        serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        text(&mut out)?;
    }
    out.flush()?;
    Ok(())
}

/// Objects in one request: far below its greatest length.
const ITEMS_AT_ONCE: usize = 1000;

/// One row for each field, with the path to it.
fn fields(table: &mut Table, path: &str, value: &Value) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                fields(table, &path, value);
            }
        }
        Value::Array(values) => {
            let texts: Vec<String> = values.iter().map(plain).collect();
            table.add_row([path, &texts.join(", ")]);
        }
        value => {
            table.add_row([path, &plain(value)]);
        }
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        value => value.to_string(),
    }
}

fn plain_table() -> Table {
    let style = if io::stdout().is_terminal() {
        presets::UTF8_FULL_CONDENSED
    } else {
        presets::NOTHING
    };
    let mut table = Table::new();
    table
        .load_style(style)
        .set_content_arrangement(ContentArrangement::Disabled);
    table
}

/// A table that is as wide as its content.
pub(crate) fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = plain_table();
    table.set_header(header);
    table
}

/// An optional value as text.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

/// A truth as a word.
pub(crate) fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}
