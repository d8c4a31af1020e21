create table users (
    id bigint generated always as identity primary key,
    username text not null unique,
    email text not null unique,
    bio text not null default '',
    image text,
    salt bytea not null,
    password bytea not null
);

create table articles (
    id bigint generated always as identity primary key,
    author bigint not null references users on delete cascade,
    slug text not null unique,
    title text not null,
    description text not null,
    body text not null,
    tags text[] not null,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index on articles (author, id desc);
create index on articles using gin (tags);

create table favorites (
    article bigint not null references articles on delete cascade,
    reader bigint not null references users on delete cascade,
    primary key (reader, article)
);
create index on favorites (article);

create table follows (
    follower bigint not null references users on delete cascade,
    followed bigint not null references users on delete cascade,
    primary key (follower, followed)
);

create table comments (
    id bigint generated always as identity primary key,
    article bigint not null references articles on delete cascade,
    author bigint not null references users on delete cascade,
    body text not null,
    created_at timestamptz not null default now()
);
create index on comments (article, id);

create view shown_articles as
select id, author, slug, title, description, body, tags,
    to_char(created_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') created_at,
    to_char(updated_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') updated_at,
    (select count(*) from favorites where article = articles.id) favorites
from articles;
