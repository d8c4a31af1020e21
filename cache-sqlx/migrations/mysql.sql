-- What is still to be invalidated. The number of a row is never used again (MySQL from 8.0, MariaDB from 10.2.4).
CREATE TABLE IF NOT EXISTS cache_outbox (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    intent MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL
) ENGINE = InnoDB
