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

impl Reading<'_> {
    pub(super) fn value(&self, node: Node<'_>) -> Option<Value> {
        let plain = |literal| {
            Some(Value {
                literal,
                variables: Vec::new(),
            })
        };
        match node.kind() {
            "none" => plain(Literal::None),
            "true" => plain(Literal::Bool(true)),
            "false" => plain(Literal::Bool(false)),
            "integer" => {
                let digits = self.text(node).replace('_', "");
                plain(Literal::Int(digits.parse().ok()?))
            }
            "float" => plain(Literal::Float(
                self.text(node).replace('_', "").parse().ok()?,
            )),
            "string" => plain(Literal::Text(self.string(node)?)),
            "concatenated_string" => {
                let parts: Option<Vec<String>> = children(node)
                    .into_iter()
                    .map(|part| self.string(part))
                    .collect();
                plain(Literal::Text(parts?.concat()))
            }
            "parenthesized_expression" => self.value(*children(node).first()?),
            "list" | "tuple" | "set" => {
                let mut list = Value {
                    literal: Literal::None,
                    variables: Vec::new(),
                };
                let mut items = Vec::new();
                for item in children(node) {
                    let item = self.value(item)?;
                    list.variables.extend(item.variables);
                    items.push(item.literal);
                }
                list.literal = Literal::List(items);
                Some(list)
            }
            "identifier" => self.known.get(self.text(node)).cloned(),
            "subscript" => {
                let of = self.text(node.child_by_field_name("value")?);
                let name = self.value(node.child_by_field_name("subscript")?)?;
                is_environment(of).then_some(())?;
                variable(name, Literal::None)
            }
            "call" => self.call(node),
            "binary_operator" => {
                let (left, right) = self.operands(node, "left", "right")?;
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
            // x or "default"
            "boolean_operator" => {
                let (left, right) = self.operands(node, "left", "right")?;
                let first = match self.text(node.child_by_field_name("operator")?) {
                    "or" => left.literal.is_true(),
                    _ => !left.literal.is_true(),
                };
                let literal = match first {
                    true => left.literal.clone(),
                    false => right.literal.clone(),
                };
                Some(both(literal, left, right))
            }
            "not_operator" => {
                let value = self.value(node.child_by_field_name("argument")?)?;
                Some(Value {
                    literal: Literal::Bool(!value.literal.is_true()),
                    ..value
                })
            }
            "comparison_operator" => self.comparison(node),
            _ => None,
        }
    }

    fn operands(&self, node: Node<'_>, left: &str, right: &str) -> Option<(Value, Value)> {
        Some((
            self.value(node.child_by_field_name(left)?)?,
            self.value(node.child_by_field_name(right)?)?,
        ))
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
        // What is done to a value: os.getenv("X", "false").lower()
        if function.kind() == "attribute" {
            let method = self.text(function.child_by_field_name("attribute")?);
            if matches!(method, "lower" | "upper" | "strip") && arguments.is_empty() {
                let value = self.value(function.child_by_field_name("object")?)?;
                let Literal::Text(text) = &value.literal else {
                    return None;
                };
                let text = match method {
                    "lower" => text.to_lowercase(),
                    "upper" => text.to_uppercase(),
                    _ => text.trim().to_owned(),
                };
                return Some(Value {
                    literal: Literal::Text(text),
                    ..value
                });
            }
        }
        let name = self.text(function);
        if let ("int" | "float" | "bool" | "str", [argument]) = (name, arguments.as_slice()) {
            let value = self.value(*argument)?;
            return Some(Value {
                literal: converted(name, &value.literal)?,
                ..value
            });
        }
        if !reads_environment(name) {
            return None;
        }
        let variable_name = self.value(*arguments.first()?)?;
        // os.getenv("X", "default"), config("X", default="default", cast=int)
        let mut default = Literal::None;
        for argument in arguments.iter().skip(1) {
            let given = match argument.kind() {
                "keyword_argument" => {
                    let keyword = self.text(argument.child_by_field_name("name")?);
                    if keyword != "default" {
                        continue;
                    }
                    argument.child_by_field_name("value")?
                }
                _ => *argument,
            };
            default = self.value(given)?.literal;
            break;
        }
        variable(variable_name, default)
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

fn is_environment(name: &str) -> bool {
    matches!(name, "os.environ" | "environ")
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
    match name.literal {
        Literal::Text(name) => Some(Value {
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
