//! TLS to a real server: whom a cache trusts, what it shows of itself, and what it says when one of
//! them does not do. Each refusal is a configuration error that names the way out.

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cache_core::{Builder, Cache, ErrorKind, Tls};
use cache_tests::{ClusterSet, PRIMARIES, Server, ServerKind, ServerOptions, run, slot_of};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};

/// Time enough for a handshake. A refusal for good does not take it.
const READY: Duration = Duration::from_secs(20);

/// A certificate and its private key, as PEM.
struct Identity {
    certificate: String,
    key: String,
}

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut parameters = named(&format!("authority {}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, parameters: CertificateParams) -> Identity {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}

/// Who it is for. An authority is found by that.
fn named(subject: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, subject);
    parameters
}

fn for_loopback() -> CertificateParams {
    let mut parameters = named("server");
    parameters.subject_alt_names =
        vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into()), SanType::DnsName("localhost".try_into().unwrap())];
    parameters
}

fn for_clients() -> CertificateParams {
    let mut parameters = named("client");
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    parameters
}

fn showing(identity: &Identity) -> Server {
    Server::with(ServerKind::Redis, ServerOptions::new().tls(&identity.certificate, &identity.key, None))
}

fn asking_for(clients: &Authority, identity: &Identity) -> Server {
    let options = ServerOptions::new().tls(&identity.certificate, &identity.key, Some(&clients.pem()));
    Server::with(ServerKind::Redis, options)
}

fn at(url: &str) -> Builder {
    Cache::builder().url(url)
}

/// The cache serves what it stored.
async fn check_serves(builder: Builder) {
    let cache = builder.build().unwrap();
    cache.ready(READY).await.unwrap();
    assert_eq!(cache.get_or_load::<u32, (), _>("tls:1", || async { Ok(1) }).await, Ok(1));
    assert_eq!(cache.peek::<u32>("tls:1").await.unwrap(), Some(1));
    assert_eq!(cache.invalidate_key("tls:1").await.unwrap().entries, 1);
}

/// The cache says why not, at once and in these words, and calls go on without it.
async fn check_refused(builder: Builder, expected: &str) {
    let cache = builder.build().unwrap();
    let started = Instant::now();
    let error = cache.ready(READY).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains(expected), "{error}");
    assert!(started.elapsed() < READY, "it is a refusal for good, and nothing to wait for");
    assert_eq!(cache.get_or_load::<u32, (), _>("tls:1", || async { Ok(1) }).await, Ok(1));
}

/// The URL by another host name.
fn by_name(server: &Server, name: &str) -> String {
    server.url().replace("127.0.0.1", name)
}

#[test]
fn an_authority_of_ones_own_is_trusted_by_name_and_by_address() {
    run(0, async {
        let authority = Authority::new();
        let server = showing(&authority.sign(for_loopback()));
        let tls = Tls::new().ca_pem(authority.pem());
        check_serves(at(&server.url()).tls(tls.clone())).await;
        check_serves(at(&by_name(&server, "localhost")).tls(tls)).await;
        // One of several, in one text or in two.
        let other = Authority::new().pem();
        check_serves(at(&server.url()).tls(Tls::new().ca_pem(other.clone() + &authority.pem()))).await;
        check_serves(at(&server.url()).tls(Tls::new().ca_pem(other).ca_pem(authority.pem()))).await;
    });
}

/// A sentinel is met by TLS, and the primary that it names as well.
#[test]
fn an_authority_of_ones_own_is_trusted_of_a_sentinel_and_of_its_primary() {
    run(0, async {
        let authority = Authority::new();
        let Identity { certificate, key } = authority.sign(for_loopback());
        let options = || {
            let shown = ServerOptions::new().tls(&certificate, &key, Some(&authority.pem()));
            shown.line("tls-auth-clients optional").line("tls-replication yes")
        };
        let primary = Server::with(ServerKind::Redis, options());
        let watch = format!("sentinel monitor main {} {} 1", primary.address().ip(), primary.address().port());
        let sentinel = Server::with(ServerKind::Redis, options().sentinel(&[watch]));
        let url = format!("rediss-sentinel://{}/main", sentinel.address());
        check_serves(at(&url).tls(Tls::new().ca_pem(authority.pem()))).await;
        check_refused(at(&url).tls(Tls::new().ca_pem(Authority::new().pem())), "an authority").await;
        // Whoever trusts the sentinel alone is not let in to another primary.
        let foreign = showing(&Authority::new().sign(for_loopback()));
        let watch = format!("sentinel monitor main {} {} 1", foreign.address().ip(), foreign.address().port());
        let sentinel = Server::with(ServerKind::Redis, options().sentinel(&[watch]));
        let url = format!("rediss-sentinel://{}/main", sentinel.address());
        check_refused(at(&url).tls(Tls::new().ca_pem(authority.pem())), "an authority").await;
    });
}

/// The nodes of a cluster are met by the addresses that they announce.
#[test]
fn an_authority_of_ones_own_is_trusted_on_each_node_of_a_cluster() {
    run(0, async {
        let authority = Authority::new();
        // Nodes show each other what they show to clients.
        let Identity { certificate, key } = authority.sign(for_loopback());
        let options = |_| ServerOptions::new().tls(&certificate, &key, Some(&authority.pem())).tls_cluster();
        let set = ClusterSet::with(ServerKind::Redis, |own| options(own).line("tls-auth-clients optional")).await;
        let url = format!("{}/?partitions=16", set.url());
        assert!(url.starts_with("rediss-cluster://"), "{url}");
        let patient = || at(&url).operation_deadline(READY).connect_timeout(READY);
        check_refused(patient().tls(Tls::new().ca_pem(Authority::new().pem())), "an authority").await;
        // In every partition, and after one of them has moved.
        let cache = patient().tls(Tls::new().ca_pem(authority.pem())).build().unwrap();
        cache.ready(READY).await.unwrap();
        let from = set.owner(slot_of(3)).await;
        set.move_slot(slot_of(3), (from + 1) % PRIMARIES).await;
        for at in 0..64 {
            let key = format!("tls:{at}");
            assert_eq!(cache.get_or_load::<u32, (), _>(key.as_str(), || async { Ok(at) }).await, Ok(at));
            assert_eq!(cache.peek::<u32>(key.as_str()).await.unwrap(), Some(at));
            assert_eq!(cache.invalidate_key(key.as_str()).await.unwrap().entries, 1);
        }
    });
}

/// A cluster that wants a certificate of one of these authorities, and whose nodes announce that
/// they are `localhost`.
async fn cluster_asking_for(authorities: &[&Authority], Identity { certificate, key }: &Identity) -> ClusterSet {
    let trusted: String = authorities.iter().map(|authority| authority.pem()).collect();
    let options = |_| {
        let options = ServerOptions::new().tls(certificate, key, Some(&trusted)).tls_cluster();
        let options = options.line("cluster-announce-hostname localhost");
        options.line("cluster-preferred-endpoint-type hostname")
    };
    let set = ClusterSet::with(ServerKind::Redis, options).await;
    set.named("localhost").await;
    set
}

fn at_cluster(set: &ClusterSet) -> Builder {
    at(&format!("{}/?partitions=16", set.url())).operation_deadline(READY).connect_timeout(READY)
}

#[test]
fn nodes_of_a_cluster_that_ask_for_a_certificate_get_one() {
    run(0, async {
        let (authority, clients) = (Authority::new(), Authority::new());
        let set = cluster_asking_for(&[&authority, &clients], &authority.sign(for_loopback())).await;
        let tls = Tls::new().ca_pem(authority.pem());
        let client = clients.sign(for_clients());
        check_serves(at_cluster(&set).tls(tls.clone().client_pem(client.certificate, client.key))).await;
        check_refused(at_cluster(&set).tls(tls.clone()), "wants a certificate of this client").await;
        let foreign = Authority::new().sign(for_clients());
        let tls = tls.client_pem(foreign.certificate, foreign.key);
        check_refused(at_cluster(&set).tls(tls), "does not accept the certificate of this client").await;
    });
}

/// A node is met by the name that it announces, and that name has to stand in its certificate,
/// whatever the certificate says of the address in the URL.
#[test]
fn a_node_of_a_cluster_is_met_by_a_name_in_its_certificate_or_not_at_all() {
    run(0, async {
        let authority = Authority::new();
        let tls = Tls::new().ca_pem(authority.pem());
        let [mut by_name, mut by_address] = [named("by name"), named("by address")];
        by_name.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        by_address.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
        let client = authority.sign(for_clients());
        let tls = tls.client_pem(client.certificate, client.key);
        let set = cluster_asking_for(&[&authority], &authority.sign(by_address)).await;
        check_refused(at_cluster(&set).tls(tls.clone()), "for another host: connect by a name that it has").await;
        let set = cluster_asking_for(&[&authority], &authority.sign(by_name)).await;
        check_refused(at_cluster(&set).tls(tls.clone()), "for another host: connect by a name that it has").await;
        let url = format!("{}/?partitions=16", set.url().replace("127.0.0.1", "localhost"));
        check_serves(at(&url).operation_deadline(READY).connect_timeout(READY).tls(tls)).await;
    });
}

#[test]
fn a_certificate_that_signs_itself_is_trusted_by_itself_and_else_refused() {
    run(0, async {
        let key = KeyPair::generate().unwrap();
        let certificate = for_loopback().self_signed(&key).unwrap().pem();
        let server = showing(&Identity { certificate: certificate.clone(), key: key.serialize_pem() });
        check_serves(at(&server.url()).tls(Tls::new().ca_pem(certificate))).await;
        check_refused(at(&server.url()).tls(Tls::new().ca_pem(Authority::new().pem())), "signs itself").await;
        check_refused(at(&server.url()), "signs itself").await;
    });
}

#[test]
fn the_authority_s_own_certificate_is_none_for_a_server() {
    run(0, async {
        let key = KeyPair::generate().unwrap();
        let mut parameters = for_loopback();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap().pem();
        let server = showing(&Identity { certificate: certificate.clone(), key: key.serialize_pem() });
        check_refused(at(&server.url()).tls(Tls::new().ca_pem(certificate)), "signs itself").await;
    });
}

#[test]
fn a_foreign_authority_is_refused() {
    run(0, async {
        let server = showing(&Authority::new().sign(for_loopback()));
        let foreign = Tls::new().ca_pem(Authority::new().pem());
        check_refused(at(&server.url()).tls(foreign), "an authority that is not trusted: name the authority").await;
        // Mozilla's, and those of this machine, do not vouch for it either.
        check_refused(at(&server.url()), "an authority that is not trusted").await;
    });
}

#[test]
fn the_authorities_of_the_machine_are_trusted_if_asked_for() {
    run(0, async {
        let authority = Authority::new();
        let server = showing(&authority.sign(for_loopback()));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), authority.pem()).unwrap();
        // The variable by which a program is told where the machine's authorities are.
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_with_native_roots", "--ignored"])
            .env("SSL_CERT_FILE", file.path())
            .env("CACHE_TEST_URL", server.url())
            .status();
        assert!(status.unwrap().success());
    });
}

#[test]
#[ignore = "run by the test above, in a process whose environment it sets"]
fn child_with_native_roots() {
    run(0, check_serves(at(&std::env::var("CACHE_TEST_URL").unwrap()).tls(Tls::new().native_roots())));
}

#[test]
fn a_certificate_for_another_host_is_refused_with_the_names_that_it_has() {
    run(0, async {
        let authority = Authority::new();
        let mut parameters = named("another server");
        parameters.subject_alt_names = vec![SanType::DnsName("cache.internal".try_into().unwrap())];
        let server = showing(&authority.sign(parameters));
        for url in [server.url(), by_name(&server, "localhost")] {
            let tls = Tls::new().ca_pem(authority.pem());
            check_refused(at(&url).tls(tls), "for another host: connect by a name that it has").await;
        }
    });
}

#[test]
fn a_certificate_out_of_its_time_is_refused() {
    run(0, async {
        let authority = Authority::new();
        for (from, to, expected) in [(2001, 2002, "has expired"), (2500, 2501, "is not valid yet")] {
            let mut parameters = for_loopback();
            parameters.not_before = date_time_ymd(from, 1, 1);
            parameters.not_after = date_time_ymd(to, 1, 1);
            let server = showing(&authority.sign(parameters));
            check_refused(at(&server.url()).tls(Tls::new().ca_pem(authority.pem())), expected).await;
        }
    });
}

#[test]
fn a_server_that_asks_for_a_certificate_gets_one() {
    run(0, async {
        let (authority, clients) = (Authority::new(), Authority::new());
        let server = asking_for(&clients, &authority.sign(for_loopback()));
        let tls = Tls::new().ca_pem(authority.pem());
        let client = clients.sign(for_clients());
        check_serves(at(&server.url()).tls(tls.clone().client_pem(client.certificate, client.key))).await;
        check_refused(at(&server.url()).tls(tls.clone()), "wants a certificate of this client").await;
        let foreign = Authority::new().sign(for_clients());
        let tls = tls.client_pem(foreign.certificate, foreign.key);
        check_refused(at(&server.url()).tls(tls), "does not accept the certificate of this client").await;
    });
}

#[test]
fn a_url_names_the_files() {
    run(0, async {
        let (authority, clients) = (Authority::new(), Authority::new());
        let server = asking_for(&clients, &authority.sign(for_loopback()));
        let client = clients.sign(for_clients());
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, pem: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path.display().to_string()
        };
        let ca = file("authority.pem", &authority.pem());
        let (cert, key) = (file("client.pem", &client.certificate), file("client.key", &client.key));
        check_serves(at(&format!("{}?ca={ca}&cert={cert}&key={key}", server.url()))).await;
        check_serves(at(&format!("{}?cert={cert}&key={key}", server.url())).tls(Tls::new().ca_pem(authority.pem())))
            .await;
    });
}

#[test]
fn tls_that_cannot_be_is_an_error_of_the_builder() {
    let authority = Authority::new();
    let [one, other] = [authority.sign(for_clients()), authority.sign(for_clients())];
    let directory = tempfile::tempdir().unwrap();
    let large = directory.path().join("large.pem");
    std::fs::write(&large, "x".repeat((1 << 20) + 1)).unwrap();
    let rediss = || at("rediss://localhost");
    let client = |certificate: &str, key: &str| rediss().tls(Tls::new().client_pem(certificate, key));
    for (builder, expected) in [
        (at("redis://localhost").tls(Tls::new()), "the URL is not of rediss://"),
        (at("memory://").tls(Tls::new()), "the URL is not of rediss://"),
        (rediss().tls(Tls::new().ca_pem("nothing")), "an authority for TLS is no PEM"),
        (client("nothing", &one.key), "the client's certificate for TLS is no PEM"),
        (client(&one.certificate, "nothing"), "private key for TLS is no PEM"),
        (client(&one.certificate, &other.key), "do not belong together"),
        (at("rediss://localhost?ca=/no/such/file"), "cannot read the certificate file /no/such/file"),
        (at(&format!("rediss://localhost?ca={}", large.display())), "is over 1 MiB"),
        (at("rediss://localhost?cert=/a"), "`cert` and `key` in a Redis URL go together"),
        (at("redis://localhost?ca=/a"), "need TLS: rediss://"),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(expected), "{expected}: {error}");
    }
}

#[test]
fn nothing_private_is_shown() {
    let identity = Authority::new().sign(for_clients());
    let tls = Tls::new().client_pem(identity.certificate, identity.key.clone());
    let builder = at("rediss://localhost").tls(tls.clone());
    let line = identity.key.lines().nth(1).unwrap();
    assert!(!format!("{tls:?} {builder:?}").contains(line));
}
