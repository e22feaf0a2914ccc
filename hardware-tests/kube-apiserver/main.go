// A Kubernetes API server for the tests, and nothing else of a cluster: kube-apiserver's own code with an embedded etcd,
// on loopback only. State, keys and the kubeconfig go into one folder, which the caller throws away.
//
//	kube-apiserver DIR
//
// It picks free ports, prints the path of the kubeconfig once the server is ready, and ends when its standard input
// does: so it never outlives the test that started it.
package main

import (
	"bufio"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"
	_ "time/tzdata"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const patience = 60 * time.Second

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: kube-apiserver DIR")
	}
	dir, err := filepath.Abs(os.Args[1])
	must(err)
	must(os.MkdirAll(dir, 0o700))
	store, err := startEtcd(filepath.Join(dir, "etcd"))
	must(err)
	port := freePort()
	token := randomToken()
	must(os.WriteFile(filepath.Join(dir, "tokens.csv"), []byte(token+",admin,admin,system:masters\n"), 0o600))
	key := filepath.Join(dir, "service-account.key")
	must(writeKey(key))

	go func() {
		must(untilReady(port, token))
		config := filepath.Join(dir, "kubeconfig")
		must(os.WriteFile(config, kubeconfig(dir, port, token), 0o600))
		fmt.Println(config)
	}()
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
	}()

	server := app.NewAPIServerCommand()
	server.SetArgs([]string{
		"--etcd-servers=" + store.Config().ListenClientUrls[0].String(),
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--cert-dir=" + filepath.Join(dir, "certs"),
		"--token-auth-file=" + filepath.Join(dir, "tokens.csv"),
		"--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + key,
		"--service-account-signing-key-file=" + key,
		"--service-cluster-ip-range=10.0.0.0/24",
		"--endpoint-reconciler-type=none",
	})
	code := cli.Run(server)
	store.Close() // os.Exit would skip a defer
	os.Exit(code)
}

func must(err error) {
	if err != nil {
		log.Fatal("kube-apiserver: ", err)
	}
}

func freePort() int {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

func loopback() []url.URL {
	return []url.URL{{Scheme: "http", Host: fmt.Sprintf("127.0.0.1:%d", freePort())}}
}

func startEtcd(dir string) (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Name, config.Dir, config.LogLevel = "one", dir, "error"
	config.ListenClientUrls, config.ListenPeerUrls = loopback(), loopback()
	config.AdvertiseClientUrls, config.AdvertisePeerUrls = config.ListenClientUrls, config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true // the state is thrown away
	store, err := embed.StartEtcd(config)
	if err != nil {
		return nil, err
	}
	select {
	case <-store.Server.ReadyNotify():
		return store, nil
	case err := <-store.Err():
		return nil, err
	case <-time.After(patience):
		return nil, fmt.Errorf("etcd is not ready after %s", patience)
	}
}

func randomToken() string {
	bytes := make([]byte, 24)
	_, err := rand.Read(bytes)
	must(err)
	return hex.EncodeToString(bytes)
}

func writeKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	return os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

func untilReady(port int, token string) error {
	// The certificate is the server's own and new; kubectl is given it, this loop need not check it.
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("https://127.0.0.1:%d/readyz", port), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if answer, err := client.Do(request); err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	return fmt.Errorf("the API server is not ready after %s", patience)
}

func kubeconfig(dir string, port int, token string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: test
clusters: [{name: test, cluster: {server: "https://127.0.0.1:%d", tls-server-name: kubernetes, certificate-authority: %q}}]
users: [{name: admin, user: {token: %q}}]
contexts: [{name: test, context: {cluster: test, user: admin, namespace: default}}]
`, port, filepath.Join(dir, "certs", "apiserver.crt"), token)
}
