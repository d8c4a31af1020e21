//! The HTTP interface of Conduit.

use std::collections::HashMap;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::{App, Failure};
use crate::articles::{self, Article, Page, Text, Window};
use crate::auth::{Viewer, digest, token};
use crate::comments::{self, Comment};
use crate::users::{self, Account, Changes, User};

type Answer = Result<Json<Value>, Failure>;

pub fn router(app: App) -> Router {
    Router::new()
        .route("/api/users", post(register))
        .route("/api/users/login", post(log_in))
        .route("/api/user", get(own_account).put(change_account))
        .route("/api/profiles/{username}", get(profile))
        .route("/api/profiles/{username}/follow", post(follow).delete(unfollow))
        .route("/api/articles", get(list).post(publish))
        .route("/api/articles/feed", get(feed))
        .route("/api/articles/{slug}", get(article).put(change_article).delete(withdraw))
        .route("/api/articles/{slug}/favorite", post(favor).delete(disfavor))
        .route("/api/articles/{slug}/comments", get(list_comments).post(comment))
        .route("/api/articles/{slug}/comments/{id}", delete(delete_comment))
        .route("/api/tags", get(tags))
        .with_state(app)
}

/// What the viewer likes and whom she follows; nothing, if nobody is logged in.
#[derive(Default)]
struct Ties {
    favorites: Vec<i64>,
    followed: Vec<i64>,
}

impl Ties {
    async fn of(app: &App, viewer: Option<Viewer>) -> Result<Self, Failure> {
        let Some(Viewer(viewer)) = viewer else { return Ok(Self::default()) };
        let (favorites, followed) = tokio::try_join!(articles::favorites(app, viewer), users::followed(app, viewer))?;
        Ok(Self { favorites, followed })
    }

    fn profile(&self, user: &User) -> Value {
        let following = self.followed.binary_search(&user.id).is_ok();
        json!({ "username": user.username, "bio": user.bio, "image": user.image, "following": following })
    }

    /// `None`: the author has just gone.
    fn article(&self, article: &Article, authors: &HashMap<i64, User>) -> Option<Value> {
        Some(json!({
            "slug": article.slug, "title": article.title, "description": article.description, "body": article.body,
            "tagList": article.tags, "createdAt": article.created_at, "updatedAt": article.updated_at,
            "favorited": self.favorites.binary_search(&article.id).is_ok(), "favoritesCount": article.favorites,
            "author": self.profile(authors.get(&article.author)?),
        }))
    }

    fn comment(&self, comment: &Comment, authors: &HashMap<i64, User>) -> Option<Value> {
        Some(json!({
            "id": comment.id, "createdAt": comment.created_at, "updatedAt": comment.created_at, "body": comment.body,
            "author": self.profile(authors.get(&comment.author)?),
        }))
    }
}

async fn show(app: &App, viewer: Option<Viewer>, slug: &str) -> Answer {
    let (ties, article) = tokio::try_join!(Ties::of(app, viewer), async { Ok(articles::article(app, slug).await?) })?;
    let article = article.ok_or(Failure::NotFound)?;
    let authors = users::users(app, &[article.author]).await?;
    let shown = ties.article(&article, &authors).ok_or(Failure::NotFound)?;
    Ok(Json(json!({ "article": shown })))
}

async fn show_page(app: &App, viewer: Option<Viewer>, page: Page) -> Answer {
    let (ties, articles) =
        tokio::try_join!(Ties::of(app, viewer), async { Ok(articles::articles(app, &page.slugs).await?) })?;
    let mut authors: Vec<i64> = articles.values().map(|article| article.author).collect();
    authors.sort_unstable();
    authors.dedup();
    let authors = users::users(app, &authors).await?;
    let shown: Vec<Value> = page.slugs.iter().filter_map(|slug| ties.article(articles.get(slug)?, &authors)).collect();
    Ok(Json(json!({ "articles": shown, "articlesCount": page.total })))
}

/// An article that the viewer may change.
async fn own(app: &App, viewer: Viewer, slug: &str) -> Result<Article, Failure> {
    let article = articles::article(app, slug).await?.ok_or(Failure::NotFound)?;
    if article.author == viewer.0 { Ok(article) } else { Err(Failure::Forbidden) }
}

async fn id_of(app: &App, username: &str) -> Result<i64, Failure> {
    users::user_id(app, username).await?.ok_or(Failure::NotFound)
}

#[derive(Deserialize)]
struct Filter {
    tag: Option<String>,
    author: Option<String>,
    favorited: Option<String>,
    limit: Option<i64>,
    offset: Option<i64>,
}

impl Filter {
    fn window(&self) -> Window {
        let default = Window::default();
        let (limit, offset) = (self.limit.unwrap_or(default.limit), self.offset.unwrap_or(default.offset));
        Window { limit: limit.clamp(0, 100), offset: offset.max(0) }
    }
}

/// By one filter, as the front end asks.
async fn list(State(app): State<App>, viewer: Option<Viewer>, Query(filter): Query<Filter>) -> Answer {
    let window = filter.window();
    let page = match &filter {
        Filter { tag: Some(tag), .. } => articles::with_tag(&app, tag, window).await?,
        Filter { author: Some(author), .. } => articles::by_author(&app, id_of(&app, author).await?, window).await?,
        Filter { favorited: Some(reader), .. } => {
            articles::favorites_of(&app, id_of(&app, reader).await?, window).await?
        }
        _ => articles::latest(&app, window).await?,
    };
    show_page(&app, viewer, page).await
}

async fn feed(State(app): State<App>, viewer: Viewer, Query(filter): Query<Filter>) -> Answer {
    let feed = articles::feed(&app, viewer.0, filter.window()).await?;
    show_page(&app, Some(viewer), feed.page).await
}

async fn article(State(app): State<App>, viewer: Option<Viewer>, Path(slug): Path<String>) -> Answer {
    show(&app, viewer, &slug).await
}

#[derive(Deserialize)]
struct Named<T> {
    #[serde(alias = "user", alias = "article", alias = "comment")]
    named: T,
}

async fn publish(State(app): State<App>, viewer: Viewer, Json(Named { named: text }): Json<Named<Text>>) -> Answer {
    let listed = articles::publish(&app, viewer.0, &slug_of(&text.title), &text).await?;
    show(&app, Some(viewer), &listed.slug).await
}

#[derive(Deserialize)]
struct Edit {
    title: Option<String>,
    description: Option<String>,
    body: Option<String>,
}

async fn change_article(
    State(app): State<App>,
    viewer: Viewer,
    Path(mut slug): Path<String>,
    Json(Named { named: edit }): Json<Named<Edit>>,
) -> Answer {
    let article = own(&app, viewer, &slug).await?;
    if edit.description.is_some() || edit.body.is_some() {
        articles::edit(&app, &slug, edit.description.as_deref(), edit.body.as_deref()).await?;
    }
    if let Some(title) = edit.title.filter(|title| *title != article.title) {
        slug = articles::rename(&app, &slug, &title, &slug_of(&title)).await?.slug;
    }
    show(&app, Some(viewer), &slug).await
}

async fn withdraw(State(app): State<App>, viewer: Viewer, Path(slug): Path<String>) -> Result<StatusCode, Failure> {
    own(&app, viewer, &slug).await?;
    articles::withdraw(&app, &slug).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn favor(State(app): State<App>, viewer: Viewer, Path(slug): Path<String>) -> Answer {
    articles::favor(&app, viewer.0, &slug).await?;
    show(&app, Some(viewer), &slug).await
}

async fn disfavor(State(app): State<App>, viewer: Viewer, Path(slug): Path<String>) -> Answer {
    articles::disfavor(&app, viewer.0, &slug).await?;
    show(&app, Some(viewer), &slug).await
}

async fn list_comments(State(app): State<App>, viewer: Option<Viewer>, Path(slug): Path<String>) -> Answer {
    let article = articles::article(&app, &slug).await?.ok_or(Failure::NotFound)?;
    let (ties, comments) =
        tokio::try_join!(Ties::of(&app, viewer), async { Ok(comments::comments(&app, article.id).await?) })?;
    let mut authors: Vec<i64> = comments.iter().map(|comment| comment.author).collect();
    authors.sort_unstable();
    authors.dedup();
    let authors = users::users(&app, &authors).await?;
    let shown: Vec<Value> = comments.iter().filter_map(|comment| ties.comment(comment, &authors)).collect();
    Ok(Json(json!({ "comments": shown })))
}

#[derive(Deserialize)]
struct Remark {
    body: String,
}

async fn comment(
    State(app): State<App>,
    viewer: Viewer,
    Path(slug): Path<String>,
    Json(Named { named: remark }): Json<Named<Remark>>,
) -> Answer {
    let article = articles::article(&app, &slug).await?.ok_or(Failure::NotFound)?;
    let comment = comments::comment(&app, article.id, viewer.0, &remark.body).await?;
    let authors = users::users(&app, &[viewer.0]).await?;
    let shown = Ties::default().comment(&comment, &authors).ok_or(Failure::NotFound)?;
    Ok(Json(json!({ "comment": shown })))
}

async fn delete_comment(
    State(app): State<App>,
    viewer: Viewer,
    Path((slug, id)): Path<(String, i64)>,
) -> Result<StatusCode, Failure> {
    let article = articles::article(&app, &slug).await?.ok_or(Failure::NotFound)?;
    let deleted = comments::delete_comment(&app, article.id, viewer.0, id).await?;
    if deleted { Ok(StatusCode::NO_CONTENT) } else { Err(Failure::NotFound) }
}

async fn tags(State(app): State<App>) -> Answer {
    Ok(Json(json!({ "tags": articles::popular_tags(&app).await? })))
}

async fn profile(State(app): State<App>, viewer: Option<Viewer>, Path(username): Path<String>) -> Answer {
    let id = id_of(&app, &username).await?;
    let (ties, users) = tokio::try_join!(Ties::of(&app, viewer), async { Ok(users::users(&app, &[id]).await?) })?;
    let user = users.get(&id).ok_or(Failure::NotFound)?;
    Ok(Json(json!({ "profile": ties.profile(user) })))
}

async fn follow(State(app): State<App>, viewer: Viewer, Path(username): Path<String>) -> Answer {
    let id = id_of(&app, &username).await?;
    users::follow(&app, viewer.0, id).await?;
    profile(State(app), Some(viewer), Path(username)).await
}

async fn unfollow(State(app): State<App>, viewer: Viewer, Path(username): Path<String>) -> Answer {
    let id = id_of(&app, &username).await?;
    users::unfollow(&app, viewer.0, id).await?;
    profile(State(app), Some(viewer), Path(username)).await
}

#[derive(Deserialize)]
struct Registration {
    username: String,
    email: String,
    password: String,
}

async fn register(State(app): State<App>, Json(Named { named: new }): Json<Named<Registration>>) -> Answer {
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).expect("the system has random numbers");
    let digest = digest(&new.password, &salt)?;
    Ok(show_account(&users::register(&app, &new.username, &new.email, &salt, &digest).await?))
}

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
}

async fn log_in(State(app): State<App>, Json(Named { named: given }): Json<Named<Credentials>>) -> Answer {
    let account = users::account_by_email(&app, &given.email).await?.ok_or(Failure::Unauthorized)?;
    if digest(&given.password, &account.salt)?[..] != account.password[..] {
        return Err(Failure::Unauthorized);
    }
    Ok(show_account(&account))
}

async fn own_account(State(app): State<App>, viewer: Viewer) -> Answer {
    Ok(show_account(&users::account(&app, viewer.0).await?.ok_or(Failure::NotFound)?))
}

async fn change_account(
    State(app): State<App>,
    viewer: Viewer,
    Json(Named { named: changes }): Json<Named<Changes>>,
) -> Answer {
    let before = users::account(&app, viewer.0).await?.ok_or(Failure::NotFound)?.username;
    Ok(show_account(&users::change(&app, viewer.0, before, &changes).await?))
}

fn show_account(account: &Account) -> Json<Value> {
    Json(json!({ "user": {
        "username": account.username, "email": account.email, "bio": account.bio, "image": account.image,
        "token": token(account.id),
    } }))
}

/// Letters and digits of the title.
fn slug_of(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}
