//! Which rooms a crate has, and which of them may import which.

use crate::house::{File, Violation, at, sorted};
use crate::tree::{Crate, Module};

pub(crate) struct Table {
    /// The module whose children are the rooms; `""` is the root of the crate. It may import all of
    /// them, and no room imports from it.
    pub(crate) parent: &'static str,
    /// From the ground up: the rooms of each row, separated by spaces.
    pub(crate) rows: &'static [&'static str],
}

impl Table {
    /// The room that `module` is in: `""` in the parent itself, and None outside of it.
    fn room<'m>(&self, module: &'m Module) -> Option<&'m str> {
        let below = match self.parent {
            "" => module,
            parent => module.split_first().filter(|(first, _)| *first == parent)?.1,
        };
        Some(below.first().map_or("", String::as_str))
    }

    /// The row of a room. The parent stands below all of them.
    fn row(&self, room: &str) -> Option<usize> {
        match room {
            "" => Some(self.rows.len()),
            room => self.rows.iter().position(|row| row.split(' ').any(|other| other == room)),
        }
    }

    /// The children of the parent, whether they have a row or not.
    fn rooms<'t>(&self, tree: &'t Crate<'_>) -> impl Iterator<Item = (&'t str, &'t File)> {
        let level = if self.parent.is_empty() { 1 } else { 2 };
        let homes = tree.homes().filter(move |(module, _)| module.len() == level);
        homes.filter_map(|(module, file)| Some((self.room(module)?, file)))
    }

    /// What imports from a row that is not above its own.
    pub(crate) fn broken(&self, tree: &Crate<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        for (room, file) in self.rooms(tree).filter(|(room, _)| self.row(room).is_none()) {
            found.push(at(&file.name, 1, format!("`{room}` has no row: put it into the table")));
        }
        for room in self.rows.iter().flat_map(|row| row.split(' ')) {
            if !self.rooms(tree).any(|(name, _)| name == room) {
                found.push(at(tree.source, 1, format!("`{room}` has a row and no module: take it out of the table")));
            }
        }
        for step in tree.steps() {
            let (Some(from), Some(to)) = (self.room(step.from), self.room(&step.to)) else { continue };
            let (Some(row), Some(other)) = (self.row(from), self.row(to)) else { continue };
            if row <= other && from != to {
                let written = step.path.segments.join("::");
                let to = if to.is_empty() { "the parent of the rooms" } else { to };
                let what =
                    format!("`{from}` imports `{written}` from {to}: a room imports from the rows above it only");
                found.push(at(step.file, step.path.line, what));
            }
        }
        sorted(found)
    }

    /// The rooms that do not begin with their law.
    pub(crate) fn lawless(&self, tree: &Crate<'_>) -> Vec<Violation> {
        let lawless = self.rooms(tree).filter(|(_, file)| law(file).is_none());
        let what = "the first line of a room is its law: `//! ` and a sentence";
        sorted(lawless.map(|(_, file)| at(&file.name, 1, what)).collect())
    }

    /// The table with the laws, for people.
    pub(crate) fn printed(&self, tree: &Crate<'_>) -> String {
        let mut text = format!("{} {}\n", tree.source, self.parent);
        for (row, rooms) in self.rows.iter().enumerate() {
            for room in rooms.split(' ') {
                let law = self.rooms(tree).find(|(name, _)| *name == room).and_then(|(_, file)| law(file));
                text += &format!("{:>4}  {room:<14}{}\n", row + 1, law.unwrap_or("-"));
            }
        }
        text
    }
}

fn law(file: &File) -> Option<&str> {
    file.text.lines().next()?.strip_prefix("//! ").filter(|law| law.ends_with('.'))
}
