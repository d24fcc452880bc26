package postgresql

import _ "github.com/jackc/pgx/v5/pgconn"
