-- What all triggers share. `@schema` is the schema of the outbox. Whoever calls these has
-- `pg_catalog` in front of its search path.

-- Escapes text as the library does, so that no value can forge a part of a name: separators, glob
-- characters, braces, `#`, `%`, `~`, white space and control characters. A value that is too
-- long for a name is not worth the work.
CREATE OR REPLACE FUNCTION @schema.cache_outbox_escape(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $function$
    SELECT CASE
        WHEN octet_length(value) > @name_bytes_max
            OR value !~ '[\u0001-\u0020%#~*?:\[\]\\{}\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]'
            THEN value
        ELSE (
            SELECT string_agg(
                CASE
                    WHEN c ~ '[\u0001-\u0020%#~*?:\[\]\\{}\u007f-\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]'
                        THEN regexp_replace(upper(encode(convert_to(c, 'UTF8'), 'hex')), '(..)', '%\1', 'g')
                    ELSE c
                END, '' ORDER BY place)
            FROM regexp_split_to_table(value, '') WITH ORDINALITY AS characters (c, place)
        )
    END
$function$;

-- Every spelling that a value may have in a key: with `+` in front of an `Option`, `!` for its
-- `None`, and with `'` in front of text that reads like another kind of value, if the parameter is
-- not plain text.
CREATE OR REPLACE FUNCTION @schema.cache_outbox_key_parts(value text, is_text boolean, is_nullable boolean)
RETURNS SETOF text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
    SELECT option || quote || @schema.cache_outbox_escape(value)
    FROM unnest(CASE WHEN is_nullable THEN ARRAY['', '+'] ELSE ARRAY[''] END) AS options (option),
        unnest(CASE
            WHEN is_text AND value ~ '^([''+.!]|true$|false$|-?[0-9]+$)' THEN ARRAY['', '''']
            ELSE ARRAY['']
        END) AS quotes (quote)
    WHERE value IS NOT NULL
    UNION ALL
    SELECT '!' WHERE value IS NULL AND is_nullable
$function$;

-- The wire form of an invalidation. A name begins with `k`, if it is a key, or with `t`. One that is
-- too long to be read back becomes everything.
CREATE OR REPLACE FUNCTION @schema.cache_outbox_intent(names text[], everything boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $function$
    SELECT json_build_object(
        'version', 1,
        'keys', to_json(ARRAY(
            SELECT substr(name, 2) FROM unnest(names) AS fitting (name)
            WHERE left(name, 1) = 'k' AND octet_length(name) <= @name_bytes_max + 1)),
        'tags', to_json(ARRAY(
            SELECT substr(name, 2) FROM unnest(names) AS fitting (name)
            WHERE left(name, 1) = 't' AND octet_length(name) <= @name_bytes_max + 1)),
        'patterns', to_json(ARRAY[]::text[]),
        'everything', everything OR EXISTS (
            SELECT FROM unnest(names) AS longer (name) WHERE octet_length(name) > @name_bytes_max + 1)
    )::text
$function$;
