// Makes throw-away certificates for tests of TLS. Stateless functions. Keys are
// P-256, valid for an hour; nothing here is for use outside tests.
#ifndef FLIGHTREC_COMMON_RPC_TESTING_CERTIFICATE_H_
#define FLIGHTREC_COMMON_RPC_TESTING_CERTIFICATE_H_

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

namespace flightrec::rpc {

class Certificate {
 public:
  // Signed by itself.
  static Certificate MakeAuthority(const std::string& common_name);
  // Signed by this one; names the address 127.0.0.1.
  Certificate Sign(const std::string& common_name) const;

  std::string cert_pem() const;
  std::string key_pem() const;

 private:
  struct Free {
    void operator()(X509* p) const { X509_free(p); }
    void operator()(EVP_PKEY* p) const { EVP_PKEY_free(p); }
  };

  explicit Certificate(const std::string& common_name);
  void AddExtension(int nid, const char* value);

  std::unique_ptr<EVP_PKEY, Free> key_;
  std::unique_ptr<X509, Free> cert_;
};

}  // namespace flightrec::rpc

#endif  // FLIGHTREC_COMMON_RPC_TESTING_CERTIFICATE_H_
