//! docs/SQL.md is true.

use super::File;

const SQL_MD: &str = include_str!("../../../../../docs/SQL.md");

/// The blocks in the page that are marked as SQL.
fn queries() -> Vec<&'static str> {
    let blocks = SQL_MD.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(|block| block.split(';')).map(str::trim).filter(|query| !query.is_empty()).collect()
}

#[test]
fn its_queries_run() {
    let mut file = File::new();
    file.post();
    file.claim(1);
    let shell = file.shell();
    let queries = queries();
    assert!(queries.len() > 8, "{queries:?}");
    for query in queries {
        let mut statement = shell.prepare(query).expect(query);
        let mut rows = statement.query([]).expect(query);
        while rows.next().expect(query).is_some() {}
    }
}

#[test]
fn it_describes_every_column_and_view() {
    let file = File::new();
    let shell = file.shell();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = shell.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let mut described = names("SELECT name FROM pragma_table_info('tasks')");
    described.extend(names("SELECT name FROM pragma_table_info('task_attempts')"));
    described.extend(names("SELECT name FROM sqlite_schema WHERE type = 'view'"));
    for name in described {
        let rows = SQL_MD.lines().filter(|line| line.starts_with('|'));
        let mut first_cells = rows.filter_map(|line| line.split('|').nth(1));
        assert!(first_cells.any(|cell| cell.contains(&format!("`{name}`"))), "{name} is missing in docs/SQL.md");
    }
}
