//! Tables: plain columns, so that a pipe's other end can cut them too.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

use super::Console;
use super::text::escape_line;

/// A table under these headings. At a terminal it fits its width; in a pipe each row is one line.
pub(super) struct Columns {
    table: Table,
}

impl Columns {
    pub(super) fn new(headings: &[&str]) -> Self {
        let mut table = plain();
        table.set_header(headings);
        Self { table }
    }

    /// Cells may hold anything: they are escaped here.
    pub(super) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.table.add_row(cells.into_iter().map(|cell| escape_line(cell.as_ref()).into_owned()));
    }

    pub(super) fn right(mut self, column: usize) -> Self {
        if let Some(column) = self.table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        self
    }

    pub(super) fn print(self, console: &mut Console) {
        print(self.table, console);
    }
}

/// Names and values, one pair a line.
pub(super) struct Facts {
    table: Table,
}

impl Facts {
    pub(super) fn new() -> Self {
        Self { table: plain() }
    }

    pub(super) fn add(&mut self, name: &str, value: impl AsRef<str>) {
        self.table.add_row([Cell::new(name), Cell::new(escape_line(value.as_ref()))]);
    }

    pub(super) fn print(self, console: &mut Console) {
        print(self.table, console);
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table
}

fn print(mut table: Table, console: &mut Console) {
    if console.out_is_terminal {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    } else {
        table.force_no_tty();
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in table.lines() {
        console.print(line.trim_end());
    }
}
