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
            Stmt::Assign(assign) => self.assign(&assign.targets, Some(&assign.value)),
            Stmt::AnnAssign(assign) => {
                if assign.value.is_some() {
                    let target = std::slice::from_ref(&*assign.target);
                    self.assign(target, assign.value.as_deref());
                }
            }
            // The operators change the value.
            Stmt::AugAssign(assign) => {
                self.assign(std::slice::from_ref(&*assign.target), None);
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
    /// `a = b = expression`. A statement that also unpacks, as in `a, b = expression`, is not
    /// evaluated.
    fn assign(&mut self, targets: &[Expr], expression: Option<&Expr>) {
        let expression = expression.filter(|_| targets.iter().all(Expr::is_name_expr));
        let value = expression.and_then(|it| value::evaluate(it, &self.known));
        for target in targets {
            self.bind(target, value.as_ref());
        }
    }

    /// Every name in `target` has this value.
    fn bind(&mut self, target: &Expr, value: Option<&Value>) {
        let name = match target {
            Expr::Name(name) => name.id.to_string(),
            Expr::Tuple(targets) => return targets.iter().for_each(|it| self.bind(it, value)),
            Expr::List(targets) => return targets.iter().for_each(|it| self.bind(it, value)),
            Expr::Starred(target) => return self.bind(&target.value, value),
            _ => return,
        };
        let value = value.cloned();
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
                ("INSTALLED_APPS", 12, false),
            ]
        );
        assert_eq!(file.mentions.len(), 1);
        assert_eq!(file.mentions[0].line, 12);
    }

    #[test]
    fn values_that_are_changed_or_unpacked_are_computed() {
        for source in [
            "X = 1\nX += 1\n",
            "X = 1\nX, Y = f()\n",
            "X = 1\n[Y, *X] = f()\n",
            "X = (Y, Z) = 'ab'\n",
            "Y = 1\nY, Z = f()\nX = Y\n",
        ] {
            let file = read(source).unwrap();
            let last = file.assignments.iter().rfind(|it| it.name == "X");
            assert_eq!(last.map(|it| &it.value), Some(&None), "{source}");
        }
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
