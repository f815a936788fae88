//! Reads the assignments of a Python file from its syntax, without running it.

mod value;

use std::collections::BTreeMap;

use ruff_python_ast::statement_visitor::{self, StatementVisitor};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, Stmt};
use ruff_text_size::{Ranged, TextSize};

pub(crate) use self::value::{Literal, Value};

/// `NAME = expression`, outside of functions and classes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Assignment {
    pub(crate) name: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// `None`: the value is computed at run time.
    pub(crate) value: Option<Value>,
    /// Inside an `if`, a `try` or the like.
    pub(crate) conditional: bool,
}

/// A string that begins with `label_studio_sso`, which registers the plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mention {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The contents of a file.
#[derive(Debug, Default)]
pub(crate) struct File {
    pub(crate) assignments: Vec<Assignment>,
    pub(crate) mentions: Vec<Mention>,
}

/// A line that is not Python 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
}

/// Reads a file.
pub(crate) fn read(source: &str) -> Result<File, SyntaxError> {
    let parsed = ruff_python_parser::parse_module(source).map_err(|error| SyntaxError {
        line: line(source, error.location.start()),
    })?;
    let body = &parsed.syntax().body;
    let mut assignments = Assignments {
        source,
        known: BTreeMap::new(),
        found: Vec::new(),
        depth: 0,
    };
    assignments.visit_body(body);
    let mut mentions = Mentions {
        source,
        found: Vec::new(),
    };
    mentions.visit_body(body);
    Ok(File {
        assignments: assignments.found,
        mentions: mentions.found,
    })
}

fn line(source: &str, offset: TextSize) -> usize {
    let before = source.get(..offset.to_usize()).unwrap_or(source);
    before.matches('\n').count() + 1
}

/// Collects the module-level assignments in order, with the values known so far.
struct Assignments<'s> {
    source: &'s str,
    known: BTreeMap<String, Value>,
    found: Vec<Assignment>,
    depth: usize,
}

impl<'a> StatementVisitor<'a> for Assignments<'_> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            // Their names are not module-level.
            Stmt::FunctionDef(_) | Stmt::ClassDef(_) => {}
            Stmt::Assign(assign) => {
                for target in &assign.targets {
                    self.assign(target, &assign.value);
                }
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.assign(&assign.target, value);
                }
            }
            other => {
                self.depth += 1;
                statement_visitor::walk_stmt(self, other);
                self.depth -= 1;
            }
        }
    }
}

impl Assignments<'_> {
    fn assign(&mut self, target: &Expr, expression: &Expr) {
        let Expr::Name(name) = target else {
            return;
        };
        let name = name.id.to_string();
        let value = value::evaluate(expression, &self.known);
        match &value {
            Some(value) => self.known.insert(name.clone(), value.clone()),
            None => self.known.remove(&name),
        };
        self.found.push(Assignment {
            name,
            line: line(self.source, target.start()),
            value,
            conditional: self.depth > 0,
        });
    }
}

/// Collects the mentions of the plugin, wherever they are.
struct Mentions<'s> {
    source: &'s str,
    found: Vec<Mention>,
}

impl<'a> Visitor<'a> for Mentions<'_> {
    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::StringLiteral(literal) = expression {
            let text = literal.value.to_str();
            if text.starts_with("label_studio_sso") {
                self.found.push(Mention {
                    line: line(self.source, literal.start()),
                    text: text.to_owned(),
                });
            }
        }
        visitor::walk_expr(self, expression);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_assignments_of_the_module_itself_count() {
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
                ("Y", 9, false),
                ("Z", 9, false),
                ("W", 11, false),
            ]
        );
        assert_eq!(file.mentions.len(), 1);
        assert_eq!(file.mentions[0].line, 12);
    }

    #[test]
    fn a_syntax_error_is_reported_with_its_line() {
        for (source, line) in [
            ("A = 1\nB = = 2\n", 2),
            ("A = 1\nB = ['a',\n", 3),
            ("A = (1\n", 2),
            ("A = 'a\n", 1),
            ("print 'Python 2'\n", 1),
        ] {
            assert_eq!(read(source).err(), Some(SyntaxError { line }), "{source}");
        }
    }
}
