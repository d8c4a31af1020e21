//! The modules of one crate, and where a path in one of them leads.

use std::collections::{BTreeMap, BTreeSet};

use crate::house::File;
use crate::source::Path;

/// A module by the names that lead to it from the root of its crate, which is the empty list.
pub(crate) type Module = Vec<String>;

/// A crate as its `mod` declarations make it. Code under `#[cfg(test)]` is not part of it.
pub(crate) struct Crate<'a> {
    /// What stands before the first module in the names of its files.
    pub(crate) source: &'static str,
    files: &'a BTreeMap<String, File>,
    /// The file of each module.
    pub(crate) modules: BTreeMap<Module, String>,
    /// Every file that a module declares, those of tests too.
    pub(crate) declared: BTreeSet<String>,
}

/// One path of one file that leads to a module of the same crate.
pub(crate) struct Step<'a> {
    pub(crate) file: &'a str,
    pub(crate) from: &'a Module,
    /// The module that the path names.
    pub(crate) to: Module,
    /// What it names in that module, if it goes on.
    pub(crate) name: Option<&'a str>,
    pub(crate) path: &'a Path,
}

impl<'a> Crate<'a> {
    pub(crate) fn new(source: &'static str, files: &'a BTreeMap<String, File>) -> Self {
        let mut tree = Self { source, files, modules: BTreeMap::new(), declared: BTreeSet::new() };
        let program = format!("{source}/main.rs");
        let root = if files.contains_key(&program) { program } else { format!("{source}/lib.rs") };
        tree.add(Vec::new(), root, source.to_owned(), false);
        tree
    }

    /// `folder` is where the files of the module's children are.
    fn add(&mut self, module: Module, file: String, folder: String, test: bool) {
        for child in &self.files[&file].facts.modules {
            let path = [module.clone(), child.path.clone()].concat();
            let stem = format!("{folder}/{}", child.path.join("/"));
            let homes = [format!("{stem}.rs"), format!("{stem}/mod.rs")];
            let test = test || child.test;
            if child.inline && !test {
                self.modules.insert(path, file.clone());
            } else if let Some(home) = homes.into_iter().find(|home| self.files.contains_key(home)) {
                self.add(path, home, stem, test);
            }
        }
        self.declared.insert(file.clone());
        if !test {
            self.modules.insert(module, file);
        }
    }

    /// The modules that have a file of their own.
    pub(crate) fn homes(&self) -> impl Iterator<Item = (&Module, &'a File)> {
        let homes = self.modules.iter().filter(|(module, _)| !self.inline(module));
        homes.map(|(module, file)| (module, &self.files[file]))
    }

    /// Whether the module stands in the file of its parent.
    fn inline(&self, module: &Module) -> bool {
        module.split_last().is_some_and(|(_, parent)| self.modules.get(parent) == self.modules.get(module))
    }

    /// A module with a file of its own in place of one without: the module that it passes on as a
    /// whole, as `__private` does, or else its parent.
    fn home(&self, mut module: Module) -> Module {
        while self.inline(&module) {
            let imports = &self.files[&self.modules[&module]].facts.paths;
            let name = module.pop().unwrap_or_default();
            let whole = |path: &&Path| path.inside == [&*name] && path.import.as_deref() == Some("*");
            if let Some((whole, _)) = imports.iter().find(whole).and_then(|path| self.resolve(&module, path)) {
                module = whole;
            }
        }
        module
    }

    /// What the files import and name of each other, outside of tests.
    pub(crate) fn steps(&self) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        for (from, file) in self.homes() {
            for path in file.facts.paths.iter().filter(|path| !path.test) {
                if let Some((to, name)) = self.resolve(from, path) {
                    let to = self.home(to);
                    steps.push(Step { file: &file.name, from, to, name, path });
                }
            }
        }
        steps
    }

    /// The module that `path` names in the file of `home`, and what it names in it. None if it
    /// leads out of the crate, or begins with a name that a `use` has brought.
    pub(crate) fn resolve<'p>(&self, home: &Module, path: &'p Path) -> Option<(Module, Option<&'p str>)> {
        let mut module = [home.clone(), path.inside.clone()].concat();
        let mut segments = path.segments.iter().map(String::as_str).peekable();
        match *segments.peek()? {
            "crate" => module.clear(),
            "self" | "super" => {}
            name => {
                module.push(name.to_owned());
                self.modules.get(&module)?;
                segments.next();
            }
        }
        while let Some(&segment) = segments.peek() {
            match segment {
                "crate" | "self" => {}
                "super" => drop(module.pop()),
                name => {
                    module.push(name.to_owned());
                    if !self.modules.contains_key(&module) {
                        module.pop();
                        return Some((module, Some(name)));
                    }
                }
            }
            segments.next();
        }
        Some((module, None))
    }

    /// The module where a step ends when `use` in the modules on its way is followed.
    pub(crate) fn end(&self, step: &Step<'_>) -> Module {
        let (mut module, mut name) = (step.to.clone(), step.name);
        // A name passes a module once, so as many turns as there are modules are enough.
        for _ in 0..self.modules.len() {
            let Some(wanted) = name else { break };
            let imports = &self.files[&self.modules[&module]].facts.paths;
            let named = |path: &&Path| path.import.as_deref() == Some(wanted);
            let Some(next) = imports.iter().find(named).and_then(|path| self.resolve(&module, path)) else { break };
            (module, name) = next;
        }
        module
    }

    /// Whether the first name of `path` is a module of this crate, by itself or through a `use`.
    pub(crate) fn own(&self, home: &Module, path: &Path) -> bool {
        let imports = &self.files[&self.modules[home]].facts.paths;
        let first = imports.iter().filter(|import| import.import.as_ref() == path.segments.first());
        first.chain([path]).any(|path| self.resolve(home, path).is_some())
    }
}

/// The circles among `edges`: for each set of nodes that all reach each other, its nodes.
pub(crate) fn circles<N: Ord + Clone>(edges: &BTreeSet<(N, N)>) -> Vec<BTreeSet<N>> {
    let nodes: BTreeSet<&N> = edges.iter().flat_map(|(from, to)| [from, to]).collect();
    let reached = |start: &N| {
        let mut seen = BTreeSet::new();
        let mut next = vec![start.clone()];
        while let Some(node) = next.pop() {
            for (_, to) in edges.iter().filter(|(from, _)| *from == node) {
                if seen.insert(to.clone()) {
                    next.push(to.clone());
                }
            }
        }
        seen
    };
    let reach: BTreeMap<&N, BTreeSet<N>> = nodes.iter().map(|node| (*node, reached(node))).collect();
    let circle = |node: &&N| -> BTreeSet<N> {
        reach[*node].iter().filter(|other| reach[*other].contains(*node)).cloned().collect()
    };
    let found: BTreeSet<BTreeSet<N>> = nodes.iter().map(circle).filter(|circle| circle.len() > 1).collect();
    found.into_iter().collect()
}
