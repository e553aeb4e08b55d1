import java.io.StringReader;
import java.io.StringWriter;
import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.util.Arrays;
import java.util.Objects;
import java.util.Properties;
import java.util.UUID;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.util.PGobject;

/** What a job does with the JDBC driver. Prints "ok" and a name for each step; ends with an exception where one fails. */
public final class Client {
    interface Step {
        void run(Connection connection) throws Exception;
    }

    static String url, token;

    public static void main(String[] arguments) throws Exception {
        url = arguments[0];
        token = System.getenv("TOKEN");
        for (String mode : new String[] {"extended", "simple", "extendedForPrepared", "extendedCacheEverything"}) {
            step(mode + " queries", mode, Client::queries);
            step(mode + " values", mode, Client::values);
            step(mode + " transactions", mode, Client::transactions);
        }
        step("prepared", "extended", Client::prepared);
        step("batches", "extended", Client::batches);
        step("large", "extended", Client::large);
        step("copy", "extended", Client::copy);
        step("metadata", "extended", Client::metadata);
        step("cancel", "extended", Client::cancel);
        step("notifications", "extended", Client::notifications);
        step("functions", "extended", Client::functions);
    }

    static Connection connect(String mode) throws SQLException {
        Properties properties = new Properties();
        properties.put("user", "job");
        properties.put("password", token);
        properties.put("sslmode", "disable");
        properties.put("preferQueryMode", mode);
        return DriverManager.getConnection(url, properties);
    }

    static void step(String name, String mode, Step step) throws Exception {
        try (Connection connection = connect(mode)) {
            step.run(connection);
        } catch (Throwable error) {
            System.out.println("failed " + name + ": " + error);
            throw error;
        }
        System.out.println("ok " + name);
    }

    static void check(Object expected, Object found) {
        if (!Objects.deepEquals(expected, found)) {
            throw new AssertionError("expected " + expected + ", found " + found);
        }
    }

    static Object one(Connection connection, String sql, Object... values) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (int at = 0; at < values.length; at++) {
                statement.setObject(at + 1, values[at]);
            }
            try (ResultSet rows = statement.executeQuery()) {
                rows.next();
                return rows.getObject(1);
            }
        }
    }

    static void fails(String state, Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        } catch (SQLException error) {
            check(state, error.getSQLState());
            return;
        }
        throw new AssertionError("no error: " + sql);
    }

    static void queries(Connection connection) throws Exception {
        check("Ada Byron", one(connection, "SELECT name FROM customers WHERE id = ? AND name LIKE ?", 1, "Ada%"));
        fails("22012", connection, "SELECT 1/0");
        fails("42P01", connection, "SELECT * FROM nowhere");
        fails("42601", connection, "SELEC 1");
        fails("42501", connection, "SELECT * FROM pg_authid");
        try (Statement statement = connection.createStatement()) {
            check(true, statement.execute("SELECT 1; SELECT 2"));
            check(true, statement.getMoreResults());
            statement.execute("DO $$BEGIN RAISE WARNING 'warned'; END$$");
            check("warned", statement.getWarnings().getMessage());
        }
    }

    static void values(Connection connection) throws Exception {
        for (int turn = 0; turn < 7; turn++) { // text first, binary once it is prepared on the server
            check("ünï ✓ ' \\", one(connection, "SELECT ?::text", "ünï ✓ ' \\"));
            check(null, one(connection, "SELECT ?::text", (Object) null));
            check(7, one(connection, "SELECT ?::int", 7));
            check(1L << 40, one(connection, "SELECT ?::int8", 1L << 40));
            check(new BigDecimal("12345.6789"), one(connection, "SELECT ?::numeric", new BigDecimal("12345.6789")));
            check(1.5, one(connection, "SELECT ?::float8", 1.5));
            check(true, one(connection, "SELECT ?::bool", true));
            UUID uuid = UUID.fromString("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
            check(uuid, one(connection, "SELECT ?::uuid", uuid));
            check("2026-02-28", String.valueOf(one(connection, "SELECT ?::date", LocalDate.of(2026, 2, 28))));
            LocalDateTime at = LocalDateTime.of(2026, 1, 2, 3, 4, 5, 678901000);
            check(Timestamp.valueOf(at), one(connection, "SELECT ?::timestamp", at));
            one(connection, "SELECT ?::timestamptz", OffsetDateTime.parse("2026-01-02T03:04:05Z"));
            byte[] bytes = {0, -1, 92};
            check(true, Arrays.equals(bytes, (byte[]) one(connection, "SELECT ?::bytea", (Object) bytes)));
            Array array = connection.createArrayOf("text", new String[] {"a", null, "b,\"c\""});
            check(new String[] {"a", null, "b,\"c\""}, ((Array) one(connection, "SELECT ?::text[]", array)).getArray());
            PGobject json = new PGobject();
            json.setType("jsonb");
            json.setValue("{\"a\": [1, null]}");
            check(json.getValue(), ((PGobject) one(connection, "SELECT ?::jsonb", json)).getValue());
        }
    }

    static void transactions(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE TEMP TABLE t (a int PRIMARY KEY)");
            connection.setAutoCommit(false);
            statement.execute("INSERT INTO t VALUES (1)");
            connection.commit();
            statement.execute("INSERT INTO t VALUES (2)");
            connection.rollback();
            Savepoint savepoint = connection.setSavepoint("s");
            fails("23505", connection, "INSERT INTO t VALUES (1)");
            fails("25P02", connection, "SELECT 1");
            connection.rollback(savepoint);
            statement.execute("INSERT INTO t VALUES (3)");
            connection.commit();
            check(2L, one(connection, "SELECT count(*) FROM t"));
            connection.commit();
            connection.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
            connection.setReadOnly(true);
            fails("25006", connection, "DELETE FROM customers");
            connection.rollback();
        }
    }

    static void prepared(Connection connection) throws Exception {
        try (PreparedStatement statement = connection.prepareStatement("SELECT n, repeat('x', n) FROM generate_series(1, ?) n")) {
            statement.unwrap(org.postgresql.PGStatement.class).setPrepareThreshold(3);
            for (int count = 1; count < 20; count++) {
                statement.setInt(1, count);
                try (ResultSet rows = statement.executeQuery()) {
                    int found = 0;
                    while (rows.next()) {
                        check(++found, rows.getInt(1));
                        check(found, rows.getString(2).length());
                    }
                    check(count, found);
                }
            }
        }
        for (int number = 0; number < 400; number++) { // more than its cache holds: the oldest are closed
            for (int turn = 0; turn < 6; turn++) {
                check(number + turn, one(connection, "SELECT " + number + " + ?::int", turn));
                if (number > 10) {
                    break;
                }
            }
        }
    }

    static void batches(Connection connection) throws Exception {
        connection.createStatement().execute("CREATE TEMP TABLE b (id serial PRIMARY KEY, text text)");
        String insert = "INSERT INTO b (text) VALUES (?)";
        try (PreparedStatement statement = connection.prepareStatement(insert, Statement.RETURN_GENERATED_KEYS)) {
            for (int number = 0; number < 500; number++) {
                statement.setString(1, "row " + number);
                statement.addBatch();
            }
            check(500, statement.executeBatch().length);
            try (ResultSet keys = statement.getGeneratedKeys()) {
                keys.next();
                check(1, keys.getInt(1));
            }
        }
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("INSERT INTO b VALUES (?, 'x')")) {
            for (int number : new int[] {1000, 1, 1001}) {
                statement.setInt(1, number);
                statement.addBatch();
            }
            statement.executeBatch();
            throw new AssertionError("no error");
        } catch (BatchUpdateException error) {
            check("23505", error.getSQLState());
        }
        connection.rollback();
        check(500L, one(connection, "SELECT count(*) FROM b"));
    }

    static void large(Connection connection) throws Exception {
        connection.setAutoCommit(false); // so that it fetches in parts
        try (PreparedStatement statement = connection.prepareStatement("SELECT n, repeat('y', 300) FROM generate_series(1, 20000) n")) {
            statement.setFetchSize(1000);
            try (ResultSet rows = statement.executeQuery()) {
                long sum = 0;
                while (rows.next()) {
                    sum += rows.getInt(1);
                }
                check(20000L * 20001 / 2, sum);
            }
        }
        check(20_000_000, ((String) one(connection, "SELECT repeat('z', 20000000)")).length());
    }

    static void copy(Connection connection) throws Exception {
        connection.createStatement().execute("CREATE TEMP TABLE c (a int, b text)");
        var copies = connection.unwrap(PGConnection.class).getCopyAPI();
        check(2L, copies.copyIn("COPY c FROM STDIN (FORMAT csv)", new StringReader("1,one\n2,\"t,wo\"\n")));
        StringWriter out = new StringWriter();
        check(2L, copies.copyOut("COPY c TO STDOUT", out));
        check("1\tone\n2\tt,wo\n", out.toString());
        try {
            copies.copyIn("COPY c FROM STDIN", new StringReader("x\n"));
            throw new AssertionError("no error");
        } catch (SQLException error) {
            check("22P02", error.getSQLState());
        }
        check(2L, one(connection, "SELECT count(*) FROM c"));
    }

    static void metadata(Connection connection) throws Exception {
        DatabaseMetaData metadata = connection.getMetaData();
        check("PostgreSQL", metadata.getDatabaseProductName());
        try (ResultSet columns = metadata.getColumns(null, "public", "customers", "%")) {
            int count = 0;
            while (columns.next()) {
                count++;
            }
            check(9, count);
        }
        try (ResultSet keys = metadata.getPrimaryKeys(null, "public", "customers")) {
            check(true, keys.next());
            check("id", keys.getString("COLUMN_NAME"));
        }
        for (ResultSet rows : new ResultSet[] {
            metadata.getTables(null, null, "%", null), metadata.getIndexInfo(null, "public", "customers", false, false),
            metadata.getTypeInfo(), metadata.getFunctions(null, "pg_catalog", "now"), metadata.getSchemas(),
            metadata.getImportedKeys(null, "public", "customers"), metadata.getProcedures(null, "public", "%")}) {
            rows.close();
        }
    }

    static void cancel(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            Thread canceller = new Thread(() -> {
                try {
                    Thread.sleep(300);
                    statement.cancel();
                } catch (Exception error) {
                    throw new IllegalStateException(error);
                }
            });
            canceller.start();
            fails2(statement);
            canceller.join();
            statement.setQueryTimeout(1);
            fails2(statement);
        }
        check(1, one(connection, "SELECT 1"));
    }

    static void fails2(Statement statement) throws SQLException {
        try {
            statement.execute("SELECT pg_sleep(60)");
        } catch (SQLException error) {
            check("57014", error.getSQLState());
            return;
        }
        throw new AssertionError("not cancelled");
    }

    static void notifications(Connection connection) throws Exception {
        connection.createStatement().execute("LISTEN news");
        try (Connection other = connect("extended")) {
            other.createStatement().execute("NOTIFY news, 'payload'");
        }
        PGNotification[] found = connection.unwrap(PGConnection.class).getNotifications(10000);
        check(1, found.length);
        check("payload", found[0].getParameter());
    }

    static void functions(Connection connection) throws Exception {
        connection.createStatement().execute(
            "CREATE OR REPLACE FUNCTION pg_temp.twice(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'");
        try (CallableStatement call = connection.prepareCall("{? = call pg_temp.twice(?)}")) {
            call.registerOutParameter(1, Types.INTEGER);
            call.setInt(2, 21);
            call.execute();
            check(42, call.getInt(1));
        }
        try {
            var objects = connection.unwrap(PGConnection.class).getLargeObjectAPI();
            connection.setAutoCommit(false);
            objects.createLO();
            throw new AssertionError("large objects are open");
        } catch (SQLException error) {
            check("0A000", error.getSQLState());
        }
        check(true, "x".getBytes(StandardCharsets.UTF_8).length == 1);
    }
}
