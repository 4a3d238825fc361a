//! One whole gateway.

use std::ffi::OsString;
use std::net::SocketAddr;

use nuncio::echo::Options;
use reqwest::{Method, RequestBuilder};

use crate::{Backend, Client, Files, Process, Reply, binary, envoy, free_port, until};

/// What a [`Stack`] is made of.
#[derive(Debug)]
pub struct Builder {
    files: Files,
    backends: Vec<Backend>,
    http: u16,
    https: u16,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    listeners: bool,
}

impl Builder {
    /// Adds a file of objects.
    #[must_use]
    pub fn file(self, name: &str, text: &str) -> Self {
        self.files.write(name, text);
        self
    }

    /// Adds an echo backend with its Service.
    #[must_use]
    pub async fn backend(self, name: &str) -> Self {
        self.backend_with(Options::named(name)).await
    }

    /// Adds an echo backend with settings of its own, and its Service.
    #[must_use]
    pub async fn backend_with(mut self, options: Options) -> Self {
        let backend = Backend::start(options).await;
        self.files.write(&format!("backend-{}.yaml", backend.name()), backend.manifest());
        self.backends.push(backend);
        self
    }

    /// Adds echo backends that stand behind one Service.
    #[must_use]
    pub async fn backends(mut self, service: &str, names: &[&str]) -> Self {
        let mut several = Vec::with_capacity(names.len());
        for name in names {
            several.push(Backend::start(Options::named(*name)).await);
        }
        self.files.write(&format!("service-{service}.yaml"), crate::service(service, &several));
        self.backends.extend(several);
        self
    }

    /// Adds a Mapping of one prefix to one service for every host.
    #[must_use]
    pub fn mapping(self, name: &str, prefix: &str, service: &str) -> Self {
        self.file(&format!("mapping-{name}.yaml"), &mapping(name, prefix, service))
    }

    /// Adds an object of Emissary's group in namespace `default`; `spec` is YAML.
    #[must_use]
    pub fn object(self, kind: &str, name: &str, spec: &str) -> Self {
        self.files.put(kind, name, spec);
        self
    }

    /// Adds the Module `ambassador`; `config` is YAML.
    #[must_use]
    pub fn module(self, config: &str) -> Self {
        self.object("Module", "ambassador", &format!("{{config: {config}}}"))
    }

    /// Leaves out the two Listeners that a stack has otherwise.
    #[must_use]
    pub const fn without_listeners(mut self) -> Self {
        self.listeners = false;
        self
    }

    /// Chooses the port of the cleartext Listener.
    #[must_use]
    pub const fn with_http_port(mut self, port: u16) -> Self {
        self.http = port;
        self
    }

    /// Adds an argument to `nuncio run`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets an environment variable of `nuncio run`.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Returns the port of the cleartext Listener.
    pub const fn http_port(&self) -> u16 {
        self.http
    }

    /// Returns the port of the TLS Listener.
    pub const fn https_port(&self) -> u16 {
        self.https
    }

    /// Returns the backend of this name.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn backend_named(&self, name: &str) -> &Backend {
        named(&self.backends, name)
    }

    /// Returns the files.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Starts the gateway and waits until it is ready.
    ///
    /// # Panics
    ///
    /// When it does not become ready; tells what it said.
    pub async fn start(self) -> Stack {
        let mut stack = self.launch();
        let admin = stack.process.line("listening control-plane admin ").await;
        let admin = admin.rsplit('/').next().and_then(|address| address.parse().ok());
        stack.admin = admin.expect("the admin line ends with an address");
        let envoy = stack.process.line("listening envoy admin ").await;
        stack.envoy = envoy.parse().expect("the line ends with an address");
        stack.process.line("ready").await;
        stack
    }

    /// Starts the gateway without waiting for anything.
    pub fn launch(self) -> Stack {
        if self.listeners {
            self.files.write("listeners.yaml", listeners(self.http, self.https));
        }
        let process = Process::start(binary(), |command| {
            command.arg("run").arg(self.files.objects()).arg("--state").arg(self.files.state());
            command.args(["--admin-address", "127.0.0.1:0", "--envoy-admin", "127.0.0.1:0"]);
            command.args(["--bind-address", "127.0.0.1", "--envoy-concurrency", "1"]);
            command.arg("--envoy").arg(envoy());
            command.args(&self.arguments).envs(self.environment.iter().cloned());
        });
        Stack {
            process,
            files: self.files,
            backends: self.backends,
            client: Client::new(),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            envoy: SocketAddr::from(([127, 0, 0, 1], 0)),
            http: self.http,
            https: self.https,
        }
    }
}

/// A running gateway, its backends and a client; stopped when dropped.
#[derive(Debug)]
pub struct Stack {
    // Dropped first: a gateway without backends would only complain.
    process: Process,
    files: Files,
    backends: Vec<Backend>,
    client: Client,
    admin: SocketAddr,
    envoy: SocketAddr,
    http: u16,
    https: u16,
}

impl Stack {
    /// Begins a gateway with an HTTP and an HTTPS Listener on free ports.
    pub fn builder() -> Builder {
        Builder {
            files: Files::new(),
            backends: Vec::new(),
            http: free_port(),
            https: free_port(),
            arguments: Vec::new(),
            environment: Vec::new(),
            listeners: true,
        }
    }

    /// Returns the objects' folder, to edit.
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Adds or replaces an object of Emissary's group; `spec` is YAML.
    pub fn put(&self, kind: &str, name: &str, spec: &str) {
        self.files.put(kind, name, spec);
    }

    /// Replaces the Module `ambassador`; `config` is YAML.
    pub fn put_module(&self, config: &str) {
        self.put("Module", "ambassador", &format!("{{config: {config}}}"));
    }

    /// Returns the running program.
    pub const fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Returns the process id of the program.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Takes the stack apart, to wait for the end of the program.
    pub fn into_parts(self) -> (Process, Files, Vec<Backend>) {
        (self.process, self.files, self.backends)
    }

    /// Returns the client.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the backend of this name.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn backend(&self, name: &str) -> &Backend {
        named(&self.backends, name)
    }

    /// Returns the address of the admin port.
    pub const fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Returns the address of Envoy's admin interface.
    ///
    /// # Panics
    ///
    /// When the gateway has not told it yet.
    pub fn envoy_admin(&self) -> SocketAddr {
        let lines = self.process.stdout();
        let told = lines.iter().find_map(|line| line.strip_prefix("listening envoy admin "));
        told.and_then(|address| address.parse().ok()).expect("a ready gateway has told it")
    }

    /// Returns the address of the cleartext Listener.
    pub fn http(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.http))
    }

    /// Returns the address of the TLS Listener.
    pub fn https(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.https))
    }

    /// Begins a request to the cleartext Listener.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, &format!("http://{}{path}", self.http()))
    }

    /// Sends a GET to the cleartext Listener; `None` when no answer came.
    pub async fn get(&self, path: &str) -> Option<Reply> {
        Client::send(self.request(Method::GET, path)).await
    }

    /// Sends a GET and waits until it is answered with `status`.
    ///
    /// # Panics
    ///
    /// When that does not happen.
    pub async fn until_status(&self, path: &str, status: u16) -> Reply {
        let what = format!("GET {path} is answered {status}");
        let fits = |reply: &Option<Reply>| reply.as_ref().is_some_and(|it| it.status == status);
        until(&what, async || self.get(path).await, fits).await.expect("it has a status")
    }

    /// Sends a GET for a host name to the cleartext Listener.
    ///
    /// # Panics
    ///
    /// When no answer comes.
    pub async fn get_host(&self, host: &str, path: &str) -> Reply {
        let reply = Client::send(self.request(Method::GET, path).header("host", host)).await;
        reply.unwrap_or_else(|| panic!("no answer for {host}{path}"))
    }

    /// Sends a GET to Envoy's own admin interface.
    ///
    /// # Panics
    ///
    /// When no answer comes.
    pub async fn ask_envoy(&self, path: &str) -> Reply {
        let reply = self.client.get(&format!("http://{}{path}", self.envoy)).await;
        reply.expect("envoy's admin interface answers")
    }

    /// Returns a counter or gauge of Envoy; `None` while it does not exist.
    ///
    /// # Panics
    ///
    /// When Envoy does not answer.
    pub async fn statistic(&self, name: &str) -> Option<u64> {
        let text = self.ask_envoy("/stats").await.body;
        let mut lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name)?.1.parse().ok()
    }

    /// Sends a GET to the admin port.
    ///
    /// # Panics
    ///
    /// When no answer comes.
    pub async fn ask_admin(&self, path: &str) -> Reply {
        let reply = self.client.get(&format!("http://{}{path}", self.admin)).await;
        reply.expect("the admin port answers")
    }
}

fn named<'a>(backends: &'a [Backend], name: &str) -> &'a Backend {
    let found = backends.iter().find(|backend| backend.name() == name);
    found.unwrap_or_else(|| panic!("there is no backend `{name}`"))
}

/// Returns a Mapping of one prefix to one service for every host.
pub fn mapping(name: &str, prefix: &str, service: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Mapping\n\
         metadata: {{name: {name}, namespace: default}}\n\
         spec: {{hostname: \"*\", prefix: {prefix}, service: {service}}}\n"
    )
}

/// Returns a Listener that takes the Hosts of every namespace.
pub fn listener(name: &str, port: u16, protocol: &str) -> String {
    format!(
        "apiVersion: getambassador.io/v3alpha1\nkind: Listener\n\
         metadata: {{name: {name}, namespace: default}}\n\
         spec: {{port: {port}, protocol: {protocol}, securityModel: XFP, \
         hostBinding: {{namespace: {{from: ALL}}}}}}\n"
    )
}

/// Returns a Secret with a chain of certificates and their key, both PEM.
pub fn tls_secret(name: &str, chain: &str, key: &str) -> String {
    let indented = |pem: &str| pem.trim().replace('\n', "\n    ");
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, namespace: default}}\n\
         type: kubernetes.io/tls\nstringData:\n  tls.crt: |\n    {}\n  tls.key: |\n    {}\n",
        indented(chain),
        indented(key)
    )
}

fn listeners(http: u16, https: u16) -> String {
    [listener("http", http, "HTTP"), listener("https", https, "HTTPS")].join("---\n")
}
