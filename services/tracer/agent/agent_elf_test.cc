// What the agent must not need, so that it runs in any process. The argument is
// its ELF file.

#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

namespace {

std::string* elf_bytes;

template <typename T>
std::vector<T> Table(uint64_t offset, uint64_t count) {
  std::vector<T> table(count);
  EXPECT_LE(offset + count * sizeof(T), elf_bytes->size());
  memcpy(table.data(), elf_bytes->data() + offset, count * sizeof(T));
  return table;
}

Elf64_Ehdr Header() { return Table<Elf64_Ehdr>(0, 1)[0]; }

std::vector<Elf64_Shdr> Sections() { return Table<Elf64_Shdr>(Header().e_shoff, Header().e_shnum); }

TEST(AgentElf, segments__then_neither_interpreter_nor_thread_local_storage) {
  for (const Elf64_Phdr& segment : Table<Elf64_Phdr>(Header().e_phoff, Header().e_phnum)) {
    EXPECT_NE(segment.p_type, static_cast<Elf64_Word>(PT_INTERP));
    EXPECT_NE(segment.p_type, static_cast<Elf64_Word>(PT_TLS));
  }
}

TEST(AgentElf, dynamic_section__then_no_library_is_needed) {
  for (const Elf64_Phdr& segment : Table<Elf64_Phdr>(Header().e_phoff, Header().e_phnum)) {
    if (segment.p_type != PT_DYNAMIC) continue;
    for (const Elf64_Dyn& entry :
         Table<Elf64_Dyn>(segment.p_offset, segment.p_filesz / sizeof(Elf64_Dyn))) {
      EXPECT_NE(entry.d_tag, DT_NEEDED);
      EXPECT_NE(entry.d_tag, DT_RELA);
      EXPECT_NE(entry.d_tag, DT_INIT_ARRAY);
    }
  }
}

TEST(AgentElf, symbols__then_none_is_undefined) {
  size_t symbols = 0;
  for (const Elf64_Shdr& section : Sections()) {
    if (section.sh_type != SHT_SYMTAB && section.sh_type != SHT_DYNSYM) {
      continue;
    }
    const auto table = Table<Elf64_Sym>(section.sh_offset, section.sh_size / sizeof(Elf64_Sym));
    for (size_t i = 1; i < table.size(); ++i, ++symbols) {
      EXPECT_NE(table[i].st_shndx, SHN_UNDEF);
    }
  }
  EXPECT_GT(symbols, 10u);
}

TEST(AgentElf, sections__then_neither_relocations_nor_data) {
  for (const Elf64_Shdr& section : Sections()) {
    EXPECT_NE(section.sh_type, static_cast<Elf64_Word>(SHT_RELA));
    EXPECT_NE(section.sh_type, static_cast<Elf64_Word>(SHT_REL));
    EXPECT_NE(section.sh_type, static_cast<Elf64_Word>(SHT_NOBITS));
    // .dynamic is not copied into the process.
    const bool writable_data = section.sh_type == SHT_PROGBITS &&
                               (section.sh_flags & SHF_WRITE) != 0 && section.sh_size != 0;
    EXPECT_FALSE(writable_data);
  }
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  std::ifstream file(argc > 1 ? argv[1] : "", std::ios::binary);
  elf_bytes = new std::string(std::istreambuf_iterator<char>(file), {});
  return RUN_ALL_TESTS();
}
