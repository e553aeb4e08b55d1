"""A call in every place where the grammar takes an expression: what it does is seen from each."""

from __future__ import annotations

import pytest

from tests.unit.postgres.sql.seen import analysed, functions, kinds, sure, writes

# Each `@` is a call of a function that deletes all customers.
PLACES = [
    # SELECT
    "SELECT @", "SELECT 1, @ AS a", "SELECT (((@)))", "SELECT ALL @", "SELECT DISTINCT @", "SELECT DISTINCT ON (@) 1",
    "SELECT 1 WHERE @ IS NULL", "SELECT 1 FROM audit WHERE NOT (@ IS NOT NULL)", "SELECT 1 ORDER BY @", "SELECT 1 LIMIT @", "SELECT 1 OFFSET @",
    "SELECT 1 FETCH FIRST (@) ROWS ONLY", "SELECT 1 ORDER BY 1 USING <, @ NULLS LAST", "SELECT 1 GROUP BY @",
    "SELECT 1 FROM audit GROUP BY ROLLUP (id, @)", "SELECT 1 FROM audit GROUP BY CUBE ((id, @))",
    "SELECT 1 FROM audit GROUP BY GROUPING SETS ((), (@))", "SELECT count(*) HAVING @ IS NULL", "SELECT count(@)", "SELECT count(DISTINCT @)",
    "SELECT count(*) FILTER (WHERE @ IS NULL)", "SELECT string_agg('a', 'b' ORDER BY @)",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY @)", "SELECT rank() OVER (ORDER BY @)", "SELECT rank() OVER (PARTITION BY @)",
    "SELECT rank() OVER w FROM audit WINDOW w AS (PARTITION BY @)",
    "SELECT rank() OVER (ORDER BY id ROWS BETWEEN @ PRECEDING AND 1 FOLLOWING) FROM audit",
    "SELECT rank() OVER (ORDER BY id RANGE BETWEEN CURRENT ROW AND @ FOLLOWING) FROM audit", "SELECT 1 FROM audit WINDOW w AS (ORDER BY @)",
    # FROM
    "SELECT 1 FROM @", "SELECT 1 FROM @ AS a (b)", "SELECT 1 FROM @ WITH ORDINALITY", "SELECT 1 FROM LATERAL @ a",
    "SELECT 1 FROM ROWS FROM (@, generate_series(1, 2))", "SELECT 1 FROM audit, @ b", "SELECT 1 FROM audit JOIN audit b ON @ IS NULL",
    "SELECT 1 FROM audit a LEFT JOIN LATERAL @ b ON true", "SELECT 1 FROM (SELECT @) a", "SELECT 1 FROM (VALUES (@)) a",
    "SELECT 1 FROM generate_series(1, @)", "SELECT 1 FROM audit TABLESAMPLE bernoulli (@)",
    "SELECT 1 FROM audit TABLESAMPLE system (1) REPEATABLE (@)", "SELECT 1 FROM unnest(ARRAY[@]) a",
    "SELECT 1 FROM XMLTABLE('/a' PASSING @ COLUMNS b text PATH 'b')", "SELECT 1 FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS b text PATH @)",
    "SELECT 1 FROM XMLTABLE('/a' PASSING '<a/>' COLUMNS b text DEFAULT @)", "SELECT 1 FROM JSON_TABLE(@, '$' COLUMNS (a int PATH '$'))",
    "SELECT 1 FROM JSON_TABLE('1', '$' PASSING @ AS x COLUMNS (a int PATH '$'))",
    "SELECT 1 FROM JSON_TABLE('1', '$' COLUMNS (a int PATH '$' DEFAULT @ ON EMPTY))",
    "SELECT 1 FROM JSON_TABLE('1', '$' COLUMNS (NESTED PATH '$.a' COLUMNS (b int PATH '$' DEFAULT @ ON ERROR)))",
    # subqueries, WITH, set operations
    "SELECT (SELECT @)", "SELECT EXISTS (SELECT @)", "SELECT 1 IN (SELECT @)", "SELECT 1 = ANY (SELECT @)", "SELECT ARRAY(SELECT @)",
    "SELECT 1 UNION SELECT @", "SELECT 1 UNION ALL (SELECT @ INTERSECT SELECT 1)", "(SELECT 1) EXCEPT (SELECT @) ORDER BY 1",
    "WITH a AS (SELECT @) SELECT 1", "WITH a AS MATERIALIZED (SELECT @) TABLE a", "WITH a AS NOT MATERIALIZED (SELECT @) TABLE a",
    "WITH RECURSIVE a AS (SELECT 1 AS n UNION SELECT @ FROM a) TABLE a", "VALUES (1), (@)", "VALUES (1) ORDER BY @", "VALUES (1) LIMIT @",
    # expressions
    "SELECT @ + 1", "SELECT - @", "SELECT 1 OPERATOR(pg_catalog.+) @", "SELECT @ IS DISTINCT FROM 1", "SELECT 1 BETWEEN 0 AND @",
    "SELECT 1 BETWEEN SYMMETRIC @ AND 2", "SELECT 'a' LIKE 'b' ESCAPE @", "SELECT 'a' SIMILAR TO @", "SELECT 'a' ~ @", "SELECT 1 IN (1, @)",
    "SELECT @ IS TRUE", "SELECT @ ISNULL", "SELECT CASE WHEN @ IS NULL THEN 1 END", "SELECT CASE 1 WHEN @ THEN 1 END",
    "SELECT CASE WHEN true THEN 1 ELSE @ END", "SELECT COALESCE(1, @)", "SELECT NULLIF(1, @)", "SELECT GREATEST(1, @)", "SELECT LEAST(@, 1)",
    "SELECT @::text", "SELECT CAST(@ AS int)", "SELECT ARRAY[1, @]", "SELECT ARRAY[[1], [@]]", "SELECT ROW(1, @)", "SELECT (1, @)",
    "SELECT (ROW(@)).f1", "SELECT (ARRAY[1])[@]", "SELECT (ARRAY[1])[1:@]", "SELECT (@).a", "SELECT (@).*", "SELECT 1 = ANY (ARRAY[@])",
    "SELECT (1, 2) = (1, @)", "SELECT ROW(1) < ROW(@)", 'SELECT @ COLLATE "C"', "SELECT @ AT TIME ZONE 'UTC'", "SELECT now() AT TIME ZONE @",
    "SELECT 'a' || @", "SELECT lower(upper(@))", "SELECT concat('a', VARIADIC ARRAY[@])", "SELECT left(str => @, n => 1)",
    "SELECT left('a', n := @)", "SELECT EXTRACT(year FROM @)", "SELECT POSITION('a' IN @)", "SELECT SUBSTRING('a' FROM @)",
    "SELECT TRIM(BOTH 'a' FROM @)", "SELECT OVERLAY('a' PLACING 'b' FROM @)", "SELECT NORMALIZE(@)",
    "SELECT (DATE '2026-01-01', DATE '2026-01-02') OVERLAPS (@, DATE '2026-01-01')", "SELECT XMLELEMENT(NAME a, XMLATTRIBUTES(@ AS b), 'c')",
    "SELECT XMLFOREST(@ AS a)", "SELECT XMLPARSE(DOCUMENT @)", "SELECT XMLPI(NAME a, @)", "SELECT XMLROOT(@, VERSION '1.0')",
    "SELECT XMLSERIALIZE(CONTENT @ AS text)", "SELECT XMLEXISTS('a' PASSING @)", "SELECT XMLCONCAT(@, @)", "SELECT @ IS DOCUMENT",
    "SELECT @ IS JSON OBJECT", "SELECT JSON_OBJECT('a' : @)", "SELECT JSON_OBJECT(@ : 1)", "SELECT JSON_ARRAY(1, @)",
    "SELECT JSON_ARRAY(SELECT @)", "SELECT JSON_OBJECTAGG('a' : @)", "SELECT JSON_ARRAYAGG(@ ORDER BY 1)", "SELECT JSON_ARRAYAGG(1 ORDER BY @)",
    "SELECT JSON_ARRAYAGG(1) FILTER (WHERE @ IS NULL)", "SELECT JSON(@)", "SELECT JSON_SCALAR(@)", "SELECT JSON_SERIALIZE(@)",
    "SELECT JSON_VALUE('1', '$' PASSING @ AS a)", "SELECT JSON_QUERY(@, '$')", "SELECT JSON_EXISTS(@, '$')",
    "SELECT JSON_VALUE('1', '$' DEFAULT @ ON EMPTY)", "SELECT JSON_VALUE('1', @)", "SELECT GROUPING(@)", "SELECT MERGE_ACTION() || @",
    "SELECT CURRENT_DATE + @",
    # writing
    "INSERT INTO audit VALUES (@)", "INSERT INTO audit (id) SELECT @", "INSERT INTO audit (id) VALUES (1), (@)",
    "INSERT INTO audit VALUES (1) RETURNING @", "INSERT INTO audit VALUES (1) ON CONFLICT ((@)) DO NOTHING",
    "INSERT INTO audit VALUES (1) ON CONFLICT (id) WHERE @ IS NULL DO NOTHING",
    "INSERT INTO audit VALUES (1) ON CONFLICT (id) DO UPDATE SET id = @",
    "INSERT INTO audit VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 1 WHERE @ IS NULL", "UPDATE audit SET id = @",
    "UPDATE audit SET (id, what) = (1, @)", "UPDATE audit SET (id, what) = (SELECT 1, @)", "UPDATE audit SET id = 1 FROM @ x",
    "UPDATE audit SET id = 1 WHERE @ IS NULL", "UPDATE audit SET id = 1 RETURNING @", "UPDATE people SET tags[@] = 'a'",
    "UPDATE people SET home.city = @", "DELETE FROM audit WHERE @ IS NULL", "DELETE FROM audit USING @ x",
    "DELETE FROM audit RETURNING WITH (OLD AS o) @", "MERGE INTO audit USING (SELECT @) x ON true WHEN MATCHED THEN DELETE",
    "MERGE INTO audit USING orders ON @ IS NULL WHEN MATCHED THEN DO NOTHING",
    "MERGE INTO audit USING orders ON true WHEN MATCHED AND @ IS NULL THEN DO NOTHING",
    "MERGE INTO audit USING orders ON true WHEN MATCHED THEN UPDATE SET id = @",
    "MERGE INTO audit USING orders ON true WHEN NOT MATCHED THEN INSERT VALUES (@)",
    "MERGE INTO audit USING orders ON true WHEN MATCHED THEN DELETE RETURNING @",
    # other statements
    "COPY (SELECT @) TO STDOUT", "COPY audit FROM STDIN WHERE @ IS NULL", "EXPLAIN ANALYZE SELECT @", "PREPARE p AS SELECT @", "EXECUTE p (@)",
    "EXPLAIN ANALYZE EXECUTE p (@)", "CREATE TABLE x AS EXECUTE p (@)", "DECLARE c CURSOR FOR SELECT @", "CREATE TABLE x AS SELECT @",
    "SELECT @ INTO x", "CREATE MATERIALIZED VIEW x AS SELECT @", "CALL close_month(@)", "DO $$BEGIN PERFORM 1 WHERE @ IS NULL; END$$", "CALL @",
    "CREATE INDEX ON audit ((@))", "CREATE INDEX ON audit (id) WHERE @ IS NULL", "ALTER TABLE audit ADD x text DEFAULT @",
    "ALTER TABLE audit ADD CHECK (@ IS NULL)", "ALTER TABLE audit ALTER what TYPE text USING @", "CREATE TABLE x (a text DEFAULT @)",
    "CREATE TABLE x PARTITION OF events FOR VALUES FROM (@) TO ('2028-01-01')", "CREATE SCHEMA x CREATE TABLE y (a text DEFAULT @)",
    "CREATE DOMAIN x AS text CHECK (@ IS NULL)",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_call_is_seen_where_it_stands(place: str) -> None:
    text = place.replace("@", "purge()")
    # What a definition runs later may be left to nobody's knowledge instead.
    assert "public.purge" in functions(text) or not sure(text)
    if not text.startswith(("CREATE", "ALTER")):
        assert "public.purge" in functions(text)
        assert "delete" in kinds(text)
        assert "customers" in writes(text).split()


# What is computed and never looked at tells nobody anything.
UNUSED = {
    "SELECT 1 FROM (SELECT @) a", "SELECT 1 FROM (VALUES (@)) a", "SELECT EXISTS (SELECT @)", "WITH a AS (SELECT @) SELECT 1",
    "MERGE INTO audit USING (SELECT @) x ON true WHEN MATCHED THEN DELETE",
}  # fmt: skip


@pytest.mark.parametrize("place", [place for place in PLACES if place not in UNUSED])
def test_a_column_is_seen_where_it_stands(place: str) -> None:
    """The same places with a subquery of a masked column: it is used for something, or nothing is sure."""
    text = (
        place.replace("FROM @", "FROM lower(@)")
        .replace("USING @", "USING lower(@)")
        .replace("LATERAL @", "LATERAL lower(@)")
    )
    text = (
        text.replace("(@, generate_series", "(lower(@), generate_series")
        .replace(", @ b", ", lower(@) b")
        .replace("CALL @", "CALL close_month(@)")
    )
    text = text.replace("TABLESAMPLE bernoulli (@)", "TABLESAMPLE bernoulli ((@)::int)").replace(
        "@", "(SELECT ssn FROM customers LIMIT 1)"
    )
    seen = [
        one
        for one in analysed(text).statements
        if any((c.table, c.column) == ("public.customers", "ssn") for c in one.columns)
    ]
    assert seen or not sure(text)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'purge()'", "SELECT 1 AS purge", "SELECT purge FROM (SELECT 1 AS purge) x", "SELECT 1 -- purge()",
        'EXPLAIN SELECT 1 AS "purge()"', "SELECT $$purge()$$",
    ],
)  # fmt: skip
def test_what_is_no_call_is_none(text: str) -> None:
    assert functions(text) == set()
    assert writes(text) == ""
