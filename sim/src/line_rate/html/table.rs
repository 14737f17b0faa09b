//! Tables of figures, which a screen reader can walk and a keyboard can scroll.

use maud::{Markup, html};

/// A table.
pub(super) struct Table {
    /// Identifier in the page.
    pub(super) id: String,
    /// What it shows, for its caption.
    pub(super) caption: String,
    pub(super) columns: Vec<Column>,
    /// Cells of each row, one for each column. The first names the row.
    pub(super) rows: Vec<Vec<String>>,
}

/// Head of a column.
pub(super) struct Column {
    name: String,
    /// Unit of the figures below; of words, none.
    unit: &'static str,
    is_word: bool,
}

impl Column {
    /// A column of figures.
    pub(super) fn figures(name: impl Into<String>, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            unit,
            is_word: false,
        }
    }

    /// A column of words.
    pub(super) fn words(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            unit: "",
            is_word: true,
        }
    }
}

impl Table {
    pub(super) fn html(&self) -> Markup {
        let class = |column: &Column| column.is_word.then_some("word");
        let caption = format!("{}-caption", self.id);
        html! {
            // A region that scrolls has to be reachable by keyboard (WCAG 2.1.1).
            div class="data" role="region" tabindex="0" aria-labelledby=(caption) {
                table id=(self.id) {
                    caption id=(caption) { (self.caption) }
                    thead {
                        tr {
                            @for column in &self.columns {
                                th scope="col" class=[class(column)] {
                                    (column.name)
                                    @if !column.unit.is_empty() { " " small { (column.unit) } }
                                }
                            }
                        }
                    }
                    tbody {
                        @for row in &self.rows {
                            tr {
                                @for (cell, column) in row.iter().zip(&self.columns).take(1) {
                                    th scope="row" class=[class(column)] { (cell) }
                                }
                                @for (cell, column) in row.iter().zip(&self.columns).skip(1) {
                                    td class=[class(column)] { (cell) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
