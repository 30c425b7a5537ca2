#include "common/rpc/testing/certificate.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>

namespace flightrec::rpc {
namespace {

constexpr long kValidSeconds = 3600;

std::string Drain(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<size_t>(size));
  BIO_free(bio);
  return text;
}

}  // namespace

Certificate::Certificate(const std::string& common_name)
    : key_(EVP_EC_gen("P-256")), cert_(X509_new()) {
  static std::atomic<long> serial{1};
  X509* cert = cert_.get();
  X509_set_version(cert, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(cert), serial++);
  X509_gmtime_adj(X509_getm_notBefore(cert), -60);
  X509_gmtime_adj(X509_getm_notAfter(cert), kValidSeconds);
  X509_set_pubkey(cert, key_.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
}

void Certificate::AddExtension(int nid, const char* value) {
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
  X509_add_ext(cert_.get(), extension, -1);
  X509_EXTENSION_free(extension);
}

Certificate Certificate::MakeAuthority(const std::string& common_name) {
  Certificate authority(common_name);
  X509_set_issuer_name(authority.cert_.get(), X509_get_subject_name(authority.cert_.get()));
  authority.AddExtension(NID_basic_constraints, "critical,CA:TRUE");
  authority.AddExtension(NID_key_usage, "critical,keyCertSign,cRLSign");
  X509_sign(authority.cert_.get(), authority.key_.get(), EVP_sha256());
  return authority;
}

Certificate Certificate::Sign(const std::string& common_name) const {
  Certificate signed_one(common_name);
  X509_set_issuer_name(signed_one.cert_.get(), X509_get_subject_name(cert_.get()));
  signed_one.AddExtension(NID_subject_alt_name, "IP:127.0.0.1");
  X509_sign(signed_one.cert_.get(), key_.get(), EVP_sha256());
  return signed_one;
}

std::string Certificate::cert_pem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_X509(bio, cert_.get());
  return Drain(bio);
}

std::string Certificate::key_pem() const {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return Drain(bio);
}

}  // namespace flightrec::rpc
