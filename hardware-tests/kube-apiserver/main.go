// A kube-apiserver for the tests: upstream's own code and flags, with an etcd in the same process, and nothing else of a
// cluster. It gives up when its standard input ends: so it never outlives the test that started it.
//
//	kube-apiserver DIR [FLAG OF KUBE-APISERVER...]
//
// etcd keeps its data below DIR, also from one run to the next. A line "compact" on standard input makes etcd forget all
// but the present; "compacted REVISION" answers it.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"
	_ "time/tzdata"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
)

const patience = 60 * time.Second

func main() {
	if len(os.Args) < 2 {
		log.Fatal("usage: kube-apiserver DIR [FLAG OF KUBE-APISERVER...]")
	}
	store, err := startEtcd(filepath.Join(os.Args[1], "etcd"))
	if err != nil {
		log.Fatal("etcd: ", err)
	}
	go obey(store)
	server := app.NewAPIServerCommand()
	server.SetArgs(append([]string{"--etcd-servers=" + store.Config().ListenClientUrls[0].String()}, os.Args[2:]...))
	code := cli.Run(server)
	store.Close() // os.Exit would skip a defer
	os.Exit(code)
}

// obey does what standard input says, and ends the server with it.
func obey(store *embed.Etcd) {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if lines.Text() == "compact" {
			revision := store.Server.KV().Rev()
			_, err := store.Server.Compact(context.Background(), &etcdserverpb.CompactionRequest{Revision: revision, Physical: true})
			if err != nil {
				log.Print("compact: ", err)
			}
			fmt.Println("compacted", revision)
		}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
}

func startEtcd(dir string) (*embed.Etcd, error) {
	config := embed.NewConfig()
	config.Name, config.Dir, config.LogLevel = "one", dir, "error"
	config.ListenClientUrls, config.ListenPeerUrls = loopback(), loopback()
	config.AdvertiseClientUrls, config.AdvertisePeerUrls = config.ListenClientUrls, config.ListenPeerUrls
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.UnsafeNoFsync = true // the machine will not crash before the test has ended
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
		return nil, fmt.Errorf("not ready after %s", patience)
	}
}

// loopback is a port that was free a moment ago.
func loopback() []url.URL {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	return []url.URL{{Scheme: "http", Host: listener.Addr().String()}}
}
