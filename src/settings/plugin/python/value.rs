//! What an expression comes to, as far as that can be told without running it.

use tree_sitter::Node;

use super::{Reading, children};

/// A value that stands in the file.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Literal {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Self>),
}

impl Literal {
    /// What `bool(…)` says.
    fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(flag) => *flag,
            Self::Int(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
        }
    }
}

/// What an expression comes to where its environment variables are unset, and which they are.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Value {
    pub literal: Literal,
    pub variables: Vec<String>,
}

impl Value {
    const fn of(literal: Literal) -> Self {
        Self {
            literal,
            variables: Vec::new(),
        }
    }
}

impl Reading<'_> {
    pub(super) fn value(&self, node: Node<'_>) -> Option<Value> {
        match node.kind() {
            "parenthesized_expression" => self.value(*children(node).first()?),
            "list" | "tuple" | "set" => self.list(node),
            "identifier" => self.known.get(self.text(node)).cloned(),
            "subscript" => self.subscript(node),
            "call" => self.call(node),
            "binary_operator" => self.sum(node),
            "boolean_operator" => self.either(node),
            "not_operator" => {
                let value = self.field(node, "argument")?;
                Some(Value {
                    literal: Literal::Bool(!value.literal.is_true()),
                    ..value
                })
            }
            "comparison_operator" => self.comparison(node),
            _ => self.literal(node).map(Value::of),
        }
    }

    /// The value of a part of an expression.
    fn field(&self, node: Node<'_>, name: &str) -> Option<Value> {
        self.value(node.child_by_field_name(name)?)
    }

    fn literal(&self, node: Node<'_>) -> Option<Literal> {
        let digits = || self.text(node).replace('_', "");
        Some(match node.kind() {
            "none" => Literal::None,
            "true" => Literal::Bool(true),
            "false" => Literal::Bool(false),
            "integer" => Literal::Int(digits().parse().ok()?),
            "float" => Literal::Float(digits().parse().ok()?),
            "string" => Literal::Text(self.string(node)?),
            "concatenated_string" => {
                let parts = children(node).into_iter().map(|part| self.string(part));
                Literal::Text(parts.collect::<Option<String>>()?)
            }
            _ => return None,
        })
    }

    fn list(&self, node: Node<'_>) -> Option<Value> {
        let (mut items, mut variables) = (Vec::new(), Vec::new());
        for item in children(node) {
            let item = self.value(item)?;
            variables.extend(item.variables);
            items.push(item.literal);
        }
        Some(Value {
            literal: Literal::List(items),
            variables,
        })
    }

    /// `os.environ["X"]`
    fn subscript(&self, node: Node<'_>) -> Option<Value> {
        let of = self.text(node.child_by_field_name("value")?);
        let name = self.field(node, "subscript")?;
        matches!(of, "os.environ" | "environ").then_some(())?;
        variable(name, Literal::None)
    }

    /// `60 * 10`
    fn sum(&self, node: Node<'_>) -> Option<Value> {
        let (left, right) = (self.field(node, "left")?, self.field(node, "right")?);
        let (Literal::Int(a), Literal::Int(b)) = (&left.literal, &right.literal) else {
            return None;
        };
        let sum = match self.text(node.child_by_field_name("operator")?) {
            "+" => a.checked_add(*b),
            "-" => a.checked_sub(*b),
            "*" => a.checked_mul(*b),
            _ => None,
        };
        Some(both(Literal::Int(sum?), left, right))
    }

    /// `x or "default"`
    fn either(&self, node: Node<'_>) -> Option<Value> {
        let (left, right) = (self.field(node, "left")?, self.field(node, "right")?);
        let operator = self.text(node.child_by_field_name("operator")?);
        let literal = match left.literal.is_true() == (operator == "or") {
            true => left.literal.clone(),
            false => right.literal.clone(),
        };
        Some(both(literal, left, right))
    }

    /// `a == b`, `a in (b, c)`
    fn comparison(&self, node: Node<'_>) -> Option<Value> {
        let operands = children(node);
        let [left, right] = operands.as_slice() else {
            return None;
        };
        let operator = self.text(node.child_by_field_name("operators")?);
        let (left, right) = (self.value(*left)?, self.value(*right)?);
        let truth = match (operator, &right.literal) {
            ("==" | "is", literal) => left.literal == *literal,
            ("!=", literal) => left.literal != *literal,
            ("in", Literal::List(items)) => items.contains(&left.literal),
            _ => return None,
        };
        Some(both(Literal::Bool(truth), left, right))
    }

    fn call(&self, node: Node<'_>) -> Option<Value> {
        let function = node.child_by_field_name("function")?;
        let arguments = children(node.child_by_field_name("arguments")?);
        let name = self.text(function);
        match (name, arguments.as_slice()) {
            ("int" | "float" | "bool" | "str", [argument]) => {
                let value = self.value(*argument)?;
                Some(Value {
                    literal: converted(name, &value.literal)?,
                    ..value
                })
            }
            (_, []) => self.changed_text(function),
            (_, [variable_name, rest @ ..]) if reads_environment(name) => {
                variable(self.value(*variable_name)?, self.default(rest)?)
            }
            _ => None,
        }
    }

    /// `os.getenv("X", "false").lower()`
    fn changed_text(&self, function: Node<'_>) -> Option<Value> {
        let value = self.field(function, "object")?;
        let Literal::Text(text) = &value.literal else {
            return None;
        };
        let text = match self.text(function.child_by_field_name("attribute")?) {
            "lower" => text.to_lowercase(),
            "upper" => text.to_uppercase(),
            "strip" => text.trim().to_owned(),
            _ => return None,
        };
        Some(Value {
            literal: Literal::Text(text),
            ..value
        })
    }

    /// What holds without the variable: `os.getenv("X", "default")`, `config("X", default="default", cast=int)`
    fn default(&self, arguments: &[Node<'_>]) -> Option<Literal> {
        for argument in arguments {
            let given = match argument.kind() {
                "keyword_argument" => {
                    let keyword = argument.child_by_field_name("name")?;
                    if self.text(keyword) != "default" {
                        continue;
                    }
                    argument.child_by_field_name("value")?
                }
                _ => *argument,
            };
            return self.value(given).map(|value| value.literal);
        }
        Some(Literal::None)
    }

    /// A string without parts that are computed.
    pub(super) fn string(&self, node: Node<'_>) -> Option<String> {
        let mut text = String::new();
        let mut cursor = node.walk();
        for part in node.children(&mut cursor) {
            match part.kind() {
                "string_start" => {
                    // Bytes and formatted strings are something else.
                    let prefix = self.text(part).to_ascii_lowercase();
                    if prefix.contains(['b', 'f', 't']) {
                        return None;
                    }
                }
                "string_content" => {
                    // An escape says something else than it shows.
                    if part.child_count() > 0 {
                        return None;
                    }
                    text.push_str(self.text(part));
                }
                "string_end" => {}
                _ => return None,
            }
        }
        Some(text)
    }
}

fn both(literal: Literal, left: Value, right: Value) -> Value {
    let mut variables = left.variables;
    variables.extend(right.variables);
    Value { literal, variables }
}

/// The functions by which settings files look variables up: Python's, Label Studio's, and those of environs, django-environ and decouple.
fn reads_environment(function: &str) -> bool {
    matches!(
        function,
        "os.getenv"
            | "getenv"
            | "os.environ.get"
            | "environ.get"
            | "get_env"
            | "get_bool_env"
            | "get_env_list"
            | "get_env_list_int"
            | "env"
            | "env.str"
            | "env.int"
            | "env.bool"
            | "env.list"
            | "config"
    )
}

fn variable(name: Value, default: Literal) -> Option<Value> {
    let plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    match name.literal {
        Literal::Text(name) if plain(&name) => Some(Value {
            literal: default,
            variables: vec![name],
        }),
        _ => None,
    }
}

/// `int(…)`, `float(…)`, `bool(…)`, `str(…)`
fn converted(function: &str, literal: &Literal) -> Option<Literal> {
    Some(match (function, literal) {
        ("bool", literal) => Literal::Bool(literal.is_true()),
        ("int", Literal::Int(number)) => Literal::Int(*number),
        ("int", Literal::Bool(flag)) => Literal::Int(i64::from(*flag)),
        ("int", Literal::Text(text)) => Literal::Int(text.trim().parse().ok()?),
        ("float", Literal::Text(text)) => Literal::Float(text.trim().parse().ok()?),
        ("float", Literal::Float(number)) => Literal::Float(*number),
        ("str", Literal::Text(text)) => Literal::Text(text.clone()),
        ("str", Literal::Int(number)) => Literal::Text(number.to_string()),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    fn of(source: &str) -> (Option<Literal>, Vec<String>) {
        let file = read(&format!("X = {source}\n")).unwrap();
        match &file.assignments[..] {
            [assignment] => match &assignment.value {
                Some(value) => (Some(value.literal.clone()), value.variables.clone()),
                None => (None, Vec::new()),
            },
            other => panic!("{source}: {other:?}"),
        }
    }

    #[test]
    fn literals_are_read() {
        let text = |text: &str| Literal::Text(text.to_owned());
        for (source, expected) in [
            ("None", Literal::None),
            ("True", Literal::Bool(true)),
            ("1_800", Literal::Int(1800)),
            ("60 * 10", Literal::Int(600)),
            ("1.5", Literal::Float(1.5)),
            ("'a'", text("a")),
            ("\"a#b\"  # not this", text("a#b")),
            ("r'a'", text("a")),
            ("('a' 'b')", text("ab")),
            ("'''a\nb'''", text("a\nb")),
            ("['a', 'b']", Literal::List(vec![text("a"), text("b")])),
            ("('a',)", Literal::List(vec![text("a")])),
            ("not True", Literal::Bool(false)),
            ("None or 'a'", text("a")),
        ] {
            assert_eq!(of(source), (Some(expected), Vec::new()), "{source}");
        }
    }

    #[test]
    fn what_only_python_knows_is_not_guessed() {
        for source in [
            "f'{name}'",
            "b'a'",
            "'a\\n'",
            "compute()",
            "open('x').read()",
            "OTHER",
            "'a' if x else 'b'",
            "{'a': 1}",
            "os.environ[name]",
            "os.getenv('no name')",
            "lambda: 1",
            "99999999999999999999",
        ] {
            assert_eq!(of(source).0, None, "{source}");
        }
    }

    #[test]
    fn variables_are_named_with_what_holds_without_them() {
        let text = |text: &str| Some(Literal::Text(text.to_owned()));
        for (source, expected) in [
            ("os.getenv('V')", Some(Literal::None)),
            ("os.environ['V']", Some(Literal::None)),
            ("os.environ.get('V', 'a')", text("a")),
            ("get_env('V', 'a')", text("a")),
            ("config('V', default='a', cast=str)", text("a")),
            ("int(os.getenv('V', '5'))", Some(Literal::Int(5))),
            ("bool(int(get_env('V', False)))", Some(Literal::Bool(false))),
            (
                "os.getenv('V', 'TRUE').lower() == 'true'",
                Some(Literal::Bool(true)),
            ),
            (
                "os.getenv('V', '1') in ('1', 'true')",
                Some(Literal::Bool(true)),
            ),
            ("os.getenv('V') or 'a'", text("a")),
        ] {
            assert_eq!(of(source), (expected, vec!["V".to_owned()]), "{source}");
        }
    }
}
