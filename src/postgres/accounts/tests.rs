use super::*;

fn columns() -> Vec<Column> {
    let written = WRITTEN
        .iter()
        .flat_map(|(relation, names)| names.iter().map(|name| (*relation, *name)));
    let written = written.map(|(relation, name)| column(relation, name, false, true));
    written
        .chain([column("htx_user", "id", true, false)])
        .collect()
}

fn column(relation: &str, name: &str, may_be_left_out: bool, may_be_written: bool) -> Column {
    Column {
        relation: relation.to_owned(),
        name: name.to_owned(),
        may_be_left_out,
        may_be_written,
        may_be_filled: true,
    }
}

#[test]
fn optional_columns_are_written_where_they_exist() {
    let plain = NewAccount::for_columns(&columns()).expect("every column is known");
    assert!(!plain.statement.contains("is_deleted"));
    assert!(!plain.statement.contains("/*"));
    let mut with_more = columns();
    with_more.push(column("htx_user", "is_deleted", false, true));
    with_more.push(column("htx_user", "custom_hotkeys", true, true));
    let account = NewAccount::for_columns(&with_more).expect("every column is known");
    assert!(
        account
            .statement
            .contains("active_organization_id , is_deleted, custom_hotkeys)"),
        "{}",
        account.statement
    );
    assert!(account.statement.contains("home.id , false, '{}'"));
}

#[test]
fn unknown_required_columns_prevent_accounts() {
    let problem = |columns: &[Column]| {
        let error = NewAccount::for_columns(columns).expect_err("a problem");
        error.to_string()
    };
    let mut more = columns();
    more.push(column("htx_user", "shoe_size", false, true));
    assert_eq!(
        problem(&more),
        "this release does not know what is required: htx_user.shoe_size"
    );
    let mut fewer = columns();
    fewer.retain(|column| column.name != "avatar");
    assert_eq!(problem(&fewer), "there is no column htx_user.avatar");
    let mut forbidden = columns();
    forbidden[0].may_be_written = false;
    assert_eq!(
        problem(&forbidden),
        "the role may not write htx_user.password"
    );
    // Each cause is said once, whatever it affects.
    forbidden[1].may_be_written = false;
    forbidden.push(column("htx_user", "shoe_size", false, true));
    assert_eq!(
        problem(&forbidden),
        "the role may not write htx_user.password, htx_user.is_superuser; this release does not know \
         what is required: htx_user.shoe_size"
    );
    // An unknown column that may be left out is no problem.
    let mut nullable = columns();
    nullable.push(column("htx_user", "nickname", true, false));
    assert!(NewAccount::for_columns(&nullable).is_ok());
}
