//! Places in a file: octet ranges to line, column and field.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A file's text and, when it is TOML, its tables.
#[derive(Debug)]
pub(super) struct Place<'a> {
    text: &'a str,
    tables: &'a Spanned<DeTable<'a>>,
}

impl<'a> Place<'a> {
    pub(super) const fn new(text: &'a str, tables: &'a Spanned<DeTable<'a>>) -> Self {
        Self { text, tables }
    }

    /// Line and column of an octet, from 1; columns count characters. Past the end, the end.
    pub(super) fn line_and_column(&self, offset: usize) -> (usize, usize) {
        let before = (0..=offset.min(self.text.len()))
            .rev()
            .find_map(|end| self.text.get(..end))
            .unwrap_or("");
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }

    /// Path of the innermost field whose key or value holds the range; empty when there is none.
    pub(super) fn field(&self, span: &Range<usize>) -> String {
        let mut best = (usize::MAX, String::new());
        search_table(self.tables.get_ref(), "", span, &mut best);
        best.1
    }
}

/// Looks through the whole tree: the span of a table is its header, so that children may lie outside of it.
fn search_table(table: &DeTable<'_>, path: &str, span: &Range<usize>, best: &mut (usize, String)) {
    for (key, value) in table {
        let name = key.get_ref();
        let path = if path.is_empty() {
            name.to_string()
        } else {
            format!("{path}.{name}")
        };
        consider(&key.span(), &path, span, best);
        search_value(value, &path, span, best);
    }
}

fn search_value(value: &Spanned<DeValue<'_>>, path: &str, span: &Range<usize>, best: &mut (usize, String)) {
    consider(&value.span(), path, span, best);
    match value.get_ref() {
        DeValue::Table(table) => search_table(table, path, span, best),
        DeValue::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                search_value(item, &format!("{path}[{i}]"), span, best);
            }
        }
        _ => {}
    }
}

/// Takes a node that holds the range and is no larger than the best so far: of equal ones, the inner one.
fn consider(node: &Range<usize>, path: &str, span: &Range<usize>, best: &mut (usize, String)) {
    if node.start <= span.start && span.end <= node.end && node.len() <= best.0 {
        *best = (node.len(), path.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "name = \"é\"\n[[vm]]\nmtu = 3\n[[vm]]\naddresses = [\"a\", \"b\"]\nnic = { flows = 7 }\n[association]\ndtls = \"1.3\"\n";

    fn field_at(what: &str) -> (String, (usize, usize)) {
        let tables = DeTable::parse(TEXT).unwrap();
        let place = Place::new(TEXT, &tables);
        let start = TEXT.find(what).unwrap();
        (place.field(&(start..start + what.len())), place.line_and_column(start))
    }

    #[test]
    fn values_and_keys_are_named_by_their_path() {
        assert_eq!(field_at("\"é\""), ("name".to_owned(), (1, 8)));
        assert_eq!(field_at("3"), ("vm[0].mtu".to_owned(), (3, 7)));
        assert_eq!(field_at("\"b\""), ("vm[1].addresses[1]".to_owned(), (5, 19)));
        assert_eq!(field_at("flows"), ("vm[1].nic.flows".to_owned(), (6, 9)));
        assert_eq!(field_at("dtls"), ("association.dtls".to_owned(), (8, 1)));
    }

    #[test]
    fn columns_count_characters_and_offsets_past_the_end_are_the_end() {
        let tables = DeTable::parse(TEXT).unwrap();
        let place = Place::new(TEXT, &tables);
        let after = TEXT.find('é').unwrap() + 'é'.len_utf8();
        assert_eq!(place.line_and_column(after), (1, 10));
        assert_eq!(
            place.line_and_column(after - 1),
            (1, 9),
            "inside of a character: its start"
        );
        assert_eq!(place.line_and_column(usize::MAX), (9, 1));
    }
}
