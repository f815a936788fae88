//! Evaluates expressions, as far as that is possible without running the file.

use std::collections::BTreeMap;

use ruff_python_ast::{
    BoolOp, CmpOp, Expr, ExprCall, ExprCompare, ExprSubscript, Number, Operator, UnaryOp,
};

/// A constant value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Self>),
}

impl Literal {
    /// `bool(…)`
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

/// The value of an expression with its environment variables unset, and their names.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Value {
    pub(crate) literal: Literal,
    pub(crate) variables: Vec<String>,
}

impl Value {
    fn map(self, change: impl FnOnce(Literal) -> Option<Literal>) -> Option<Self> {
        Some(Self {
            literal: change(self.literal)?,
            variables: self.variables,
        })
    }

    /// A value computed from two others.
    fn and(self, other: Self, literal: Literal) -> Self {
        let mut variables = self.variables;
        variables.extend(other.variables);
        Self { literal, variables }
    }
}

impl From<Literal> for Value {
    fn from(literal: Literal) -> Self {
        Self {
            literal,
            variables: Vec::new(),
        }
    }
}

/// The values of the names that were assigned before.
type Known = BTreeMap<String, Value>;

/// Evaluates an expression. `None`: the value is computed at run time.
pub(super) fn evaluate(expression: &Expr, known: &Known) -> Option<Value> {
    match expression {
        Expr::NoneLiteral(_) => Some(Literal::None.into()),
        Expr::BooleanLiteral(literal) => Some(Literal::Bool(literal.value).into()),
        Expr::NumberLiteral(literal) => match &literal.value {
            Number::Int(number) => Some(Literal::Int(number.as_i64()?).into()),
            Number::Float(number) => Some(Literal::Float(*number).into()),
            Number::Complex { .. } => None,
        },
        Expr::StringLiteral(text) => Some(Literal::Text(text.value.to_str().to_owned()).into()),
        Expr::List(list) => sequence(&list.elts, known),
        Expr::Tuple(tuple) => sequence(&tuple.elts, known),
        Expr::Set(set) => sequence(&set.elts, known),
        Expr::Name(name) => known.get(name.id.as_str()).cloned(),
        Expr::Subscript(subscript) => environment_item(subscript, known),
        Expr::Call(call) => evaluate_call(call, known),
        Expr::BinOp(operation) => {
            let left = evaluate(&operation.left, known)?;
            arithmetic(left, operation.op, evaluate(&operation.right, known)?)
        }
        Expr::BoolOp(operation) => {
            let operands = operation.values.iter();
            let mut operands = operands.map(|operand| evaluate(operand, known));
            let first = operands.next()??;
            operands.try_fold(first, |left, right| {
                Some(either(left, operation.op, right?))
            })
        }
        Expr::UnaryOp(operation) => {
            let operand = evaluate(&operation.operand, known)?;
            operand.map(|literal| match (operation.op, literal) {
                (UnaryOp::Not, literal) => Some(Literal::Bool(!literal.is_true())),
                (UnaryOp::USub, Literal::Int(number)) => number.checked_neg().map(Literal::Int),
                _ => None,
            })
        }
        Expr::Compare(comparison) => compare(comparison, known),
        _ => None,
    }
}

fn sequence(elements: &[Expr], known: &Known) -> Option<Value> {
    let (mut items, mut variables) = (Vec::new(), Vec::new());
    for element in elements {
        let item = evaluate(element, known)?;
        variables.extend(item.variables);
        items.push(item.literal);
    }
    Some(Value {
        literal: Literal::List(items),
        variables,
    })
}

/// `os.environ["X"]`
fn environment_item(subscript: &ExprSubscript, known: &Known) -> Option<Value> {
    let of = dotted(&subscript.value)?;
    matches!(of.as_str(), "os.environ" | "environ").then_some(())?;
    variable(evaluate(&subscript.slice, known)?, Literal::None)
}

/// `60 * 10`
fn arithmetic(left: Value, operator: Operator, right: Value) -> Option<Value> {
    let (Literal::Int(a), Literal::Int(b)) = (&left.literal, &right.literal) else {
        return None;
    };
    let result = match operator {
        Operator::Add => a.checked_add(*b),
        Operator::Sub => a.checked_sub(*b),
        Operator::Mult => a.checked_mul(*b),
        _ => None,
    };
    Some(left.and(right, Literal::Int(result?)))
}

/// `x or "default"`
fn either(left: Value, operator: BoolOp, right: Value) -> Value {
    let chosen = match left.literal.is_true() == (operator == BoolOp::Or) {
        true => left.literal.clone(),
        false => right.literal.clone(),
    };
    left.and(right, chosen)
}

/// `a == b`, `a in (b, c)`
fn compare(comparison: &ExprCompare, known: &Known) -> Option<Value> {
    let ([operator], [right]) = (&*comparison.ops, &*comparison.comparators) else {
        return None;
    };
    let (left, right) = (evaluate(&comparison.left, known)?, evaluate(right, known)?);
    let truth = match (operator, &right.literal) {
        (CmpOp::Eq | CmpOp::Is, literal) => left.literal == *literal,
        (CmpOp::NotEq, literal) => left.literal != *literal,
        (CmpOp::In, Literal::List(items)) => items.contains(&left.literal),
        _ => return None,
    };
    Some(left.and(right, Literal::Bool(truth)))
}

fn evaluate_call(call: &ExprCall, known: &Known) -> Option<Value> {
    let function = dotted(&call.func);
    let function = function.as_deref().unwrap_or_default();
    match &*call.arguments.args {
        [argument] if matches!(function, "int" | "float" | "bool" | "str") => {
            let argument = evaluate(argument, known)?;
            argument.map(|literal| convert(function, &literal))
        }
        [name, rest @ ..] if reads_environment(function) => {
            let default = match (rest.first(), call.arguments.find_keyword("default")) {
                (Some(default), _) => evaluate(default, known)?.literal,
                (None, Some(keyword)) => evaluate(&keyword.value, known)?.literal,
                (None, None) => Literal::None,
            };
            variable(evaluate(name, known)?, default)
        }
        [] => change_text(&call.func, known),
        _ => None,
    }
}

/// `os.getenv("X", "false").lower()`
fn change_text(function: &Expr, known: &Known) -> Option<Value> {
    let Expr::Attribute(method) = function else {
        return None;
    };
    evaluate(&method.value, known)?.map(|literal| match (literal, method.attr.as_str()) {
        (Literal::Text(text), "lower") => Some(Literal::Text(text.to_lowercase())),
        (Literal::Text(text), "upper") => Some(Literal::Text(text.to_uppercase())),
        (Literal::Text(text), "strip") => Some(Literal::Text(text.trim().to_owned())),
        _ => None,
    })
}

/// `a.b.c` as text.
fn dotted(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Name(name) => Some(name.id.to_string()),
        Expr::Attribute(attribute) => {
            Some(format!("{}.{}", dotted(&attribute.value)?, attribute.attr))
        }
        _ => None,
    }
}

/// Whether a function reads an environment variable: those of Python, Label Studio, environs,
/// django-environ and decouple.
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
fn convert(function: &str, literal: &Literal) -> Option<Literal> {
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

    fn value_of(source: &str) -> (Option<Literal>, Vec<String>) {
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
            ("0x10", Literal::Int(16)),
            ("-1", Literal::Int(-1)),
            ("60 * 10", Literal::Int(600)),
            ("1.5", Literal::Float(1.5)),
            ("'a'", text("a")),
            ("\"a#b\"  # not this", text("a#b")),
            ("r'a\\n'", text("a\\n")),
            ("'a\\n'", text("a\n")),
            ("('a' 'b')", text("ab")),
            ("'''a\nb'''", text("a\nb")),
            ("['a', 'b']", Literal::List(vec![text("a"), text("b")])),
            ("('a',)", Literal::List(vec![text("a")])),
            ("not True", Literal::Bool(false)),
            ("None or '' or 'a'", text("a")),
        ] {
            assert_eq!(value_of(source), (Some(expected), Vec::new()), "{source}");
        }
    }

    #[test]
    fn computed_values_are_not_guessed() {
        for source in [
            "f'{name}'",
            "b'a'",
            "compute()",
            "open('x').read()",
            "OTHER",
            "'a' if x else 'b'",
            "{'a': 1}",
            "[*OTHER]",
            "os.environ[name]",
            "os.getenv('no name')",
            "lambda: 1",
            "99999999999999999999",
        ] {
            assert_eq!(value_of(source).0, None, "{source}");
        }
    }

    #[test]
    fn variables_are_named_with_the_value_without_them() {
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
            assert_eq!(
                value_of(source),
                (expected, vec!["V".to_owned()]),
                "{source}"
            );
        }
    }
}
