insert into users (username, email, bio, image, salt, password)
select 'user' || n, 'user' || n || '@example.org', 'What user ' || n || ' says of himself, in a line or two.',
    'https://example.org/images/' || n || '.jpg', '\x00', '\x00'
from generate_series(1, 1000) n;

insert into articles (author, slug, title, description, body, tags, created_at, updated_at)
select n * 7919 % 1000 + 1, 'article-' || n, 'Article ' || n, 'What article ' || n || ' is about, in a line.',
    repeat('Of what everybody knows, somebody has to say it first. ', 20),
    array['topic' || n % 50, 'topic' || n * 7 % 49, 'topic' || n * 3 % 11],
    now() - (5000 - n) * interval '1 minute', now() - (5000 - n) * interval '1 minute'
from generate_series(1, 5000) n;

insert into favorites (article, reader)
select distinct (n * 31 + reader * 17) % 5000 + 1, reader
from generate_series(1, 20) n, generate_series(1, 1000) reader;

insert into follows (follower, followed)
select distinct follower, (n * 37 + follower * 13) % 1000 + 1
from generate_series(1, 10) n, generate_series(1, 1000) follower;

insert into comments (article, author, body)
select article, (n * 41 + article) % 1000 + 1, 'What the reader ' || n || ' thinks of it, and why.'
from generate_series(1, 5) n, generate_series(1, 5000) article;

analyze;
