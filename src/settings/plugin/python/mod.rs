//! Assignments of a Python file, read from its syntax. Nothing of it is run.

mod value;

use std::collections::BTreeMap;

use tree_sitter::{Node, Parser};

pub(super) use self::value::{Literal, Value};

/// `NAME = expression` outside of functions and classes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assignment {
    pub name: String,
    /// From 1.
    pub line: usize,
    /// `None`: only Python knows.
    pub value: Option<Value>,
    /// Below an `if`, a `try` or the like.
    pub conditional: bool,
}

/// A text that begins with `label_studio_sso`: what the plugin is registered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mention {
    pub line: usize,
    pub text: String,
}

/// What was read.
#[derive(Debug, Default)]
pub(super) struct File {
    pub assignments: Vec<Assignment>,
    pub mentions: Vec<Mention>,
}

/// Reads a file; the error says where it is no Python.
pub(super) fn read(source: &str) -> Result<File, String> {
    let mut parser = Parser::new();
    parser
        .set_language(&tree_sitter_python::LANGUAGE.into())
        .map_err(|error| error.to_string())?;
    let tree = parser.parse(source, None).ok_or("cannot be read")?;
    let root = tree.root_node();
    if let Some(line) = first_error(root) {
        return Err(format!("is no Python 3: see line {line}"));
    }
    let mut reading = Reading {
        source,
        known: BTreeMap::new(),
        file: File::default(),
    };
    reading.block(root, false);
    reading.mentions(root);
    Ok(reading.file)
}

fn first_error(node: Node<'_>) -> Option<usize> {
    if node.is_error() || node.is_missing() {
        return Some(line(node));
    }
    if !node.has_error() {
        return None;
    }
    // What is missing may be a bracket, which has no name.
    let mut cursor = node.walk();
    let mut parts = node.children(&mut cursor);
    parts.find_map(first_error)
}

fn line(node: Node<'_>) -> usize {
    node.start_position().row + 1
}

fn children(node: Node<'_>) -> Vec<Node<'_>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor)
        .filter(|child| child.kind() != "comment")
        .collect()
}

struct Reading<'s> {
    source: &'s str,
    known: BTreeMap<String, Value>,
    file: File,
}

impl<'s> Reading<'s> {
    fn text(&self, node: Node<'_>) -> &'s str {
        self.source.get(node.byte_range()).unwrap_or_default()
    }

    fn block(&mut self, block: Node<'_>, conditional: bool) {
        for node in children(block) {
            match node.kind() {
                "expression_statement" => {
                    for statement in children(node) {
                        if statement.kind() == "assignment" {
                            self.assignment(statement, conditional);
                        }
                    }
                }
                "function_definition" | "class_definition" | "decorated_definition" => {}
                // if, else, try, with, for: whatever is below them may be left out.
                _ => self.block(node, true),
            }
        }
    }

    fn assignment(&mut self, node: Node<'_>, conditional: bool) {
        let (Some(left), Some(right)) = (
            node.child_by_field_name("left"),
            node.child_by_field_name("right"),
        ) else {
            return;
        };
        // a = b = 1
        if right.kind() == "assignment" {
            self.assignment(right, conditional);
        }
        if left.kind() != "identifier" {
            return;
        }
        let value = self.value(right);
        let name = self.text(left).to_owned();
        match &value {
            Some(value) => self.known.insert(name.clone(), value.clone()),
            None => self.known.remove(&name),
        };
        self.file.assignments.push(Assignment {
            name,
            line: line(node),
            value,
            conditional,
        });
    }

    fn mentions(&mut self, node: Node<'_>) {
        for child in children(node) {
            if child.kind() == "string" {
                if let Some(text) = self.string(child)
                    && text.starts_with("label_studio_sso")
                {
                    let line = line(child);
                    self.file.mentions.push(Mention { line, text });
                }
            } else {
                self.mentions(child);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_module_itself_assigns_counts() {
        let source = "\
BASE = 'a'
X = BASE
if DEBUG:
    X = 'debug'
def f():
    X = 'local'
class C:
    X = 'member'
Y = Z = 1
X.y = 2
W: str = 'typed'
INSTALLED_APPS += ['label_studio_sso']
# 'label_studio_sso.middleware' in a comment
";
        let file = read(source).unwrap();
        let read: Vec<_> = file
            .assignments
            .iter()
            .map(|it| (it.name.as_str(), it.line, it.conditional))
            .collect();
        assert_eq!(
            read,
            [
                ("BASE", 1, false),
                ("X", 2, false),
                ("X", 4, true),
                ("Z", 9, false),
                ("Y", 9, false),
                ("W", 11, false),
            ]
        );
        assert_eq!(file.mentions.len(), 1);
        assert_eq!(file.mentions[0].line, 12);
    }

    #[test]
    fn what_is_no_python_is_said_with_its_line() {
        for (source, line) in [
            ("A = 1\nB = = 2\n", 2),
            ("A = 1\nB = ['a',\n", 2),
            ("A = (1\n", 1),
            ("A = 'a\n", 1),
            ("print 'Python 2'\nexec 'x' in\n", 2),
        ] {
            let told = format!("is no Python 3: see line {line}");
            assert_eq!(read(source).err(), Some(told), "{source}");
        }
    }
}
