//! The parameters of a statement, each with its type in Postgres.
//!
//! The types are sent along, so that a statement needs no round trip of its own to ask for them,
//! and has the same types prepared or not.

use std::time::SystemTime;

use tokio_postgres::types::{ToSql, Type};

/// A parameter of a statement.
pub(super) trait Parameter: Sync {
    /// The value.
    fn value(&self) -> &(dyn ToSql + Sync);
    /// Its type in Postgres.
    fn sql_type(&self) -> Type;
}

/// A Rust type that is sent as one type of Postgres.
pub(super) trait HasType {
    const TYPE: Type;
}

macro_rules! types {
    ($($rust:ty => $postgres:ident,)*) => {$(
        impl HasType for $rust {
            const TYPE: Type = Type::$postgres;
        }
    )*};
}

types! {
    bool => BOOL,
    i32 => INT4,
    f64 => FLOAT8,
    str => TEXT,
    String => TEXT,
    [u8] => BYTEA,
    [String] => TEXT_ARRAY,
    Vec<String> => TEXT_ARRAY,
    Vec<&str> => TEXT_ARRAY,
    Vec<Option<&str>> => TEXT_ARRAY,
    Vec<&[u8]> => BYTEA_ARRAY,
    Vec<i32> => INT4_ARRAY,
    Vec<Option<i32>> => INT4_ARRAY,
    Vec<SystemTime> => TIMESTAMPTZ_ARRAY,
    Vec<Option<SystemTime>> => TIMESTAMPTZ_ARRAY,
    SystemTime => TIMESTAMPTZ,
}

impl<T: HasType + ?Sized> HasType for &T {
    const TYPE: Type = T::TYPE;
}

impl<T: HasType> HasType for Option<T> {
    const TYPE: Type = T::TYPE;
}

impl<T: HasType + ToSql + Sync> Parameter for T {
    fn value(&self) -> &(dyn ToSql + Sync) {
        self
    }

    fn sql_type(&self) -> Type {
        T::TYPE
    }
}
