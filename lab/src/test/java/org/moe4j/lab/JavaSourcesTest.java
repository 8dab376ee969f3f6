package org.moe4j.lab;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipEntry;
import java.util.zip.ZipOutputStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.moe4j.tensor.MoeException;

class JavaSourcesTest {
  @TempDir Path folder;

  private Path zip(String... namesAndTexts) throws IOException {
    Path file = folder.resolve("src.zip");
    try (ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(file))) {
      for (int i = 0; i < namesAndTexts.length; i += 2) {
        out.putNextEntry(new ZipEntry(namesAndTexts[i]));
        out.write(namesAndTexts[i + 1].getBytes(StandardCharsets.UTF_8));
      }
    }
    return file;
  }

  @Test
  void sourcesComeInTheOrderOfTheirNamesWithoutTheirLicence() throws IOException {
    Path file =
        zip(
            "java.base/java/util/B.java", "/* licence */\n\npackage java.util;\nclass B {}\n",
            "java.base/java/lang/A.java", "package java.lang;\nclass A {}\n",
            "java.base/java/lang/notes.txt", "no source",
            "java.xml/org/C.java", "package org;");
    assertThat(JavaSources.read(file, 1000))
        .containsExactly("package java.lang;\nclass A {}\n", "package java.util;\nclass B {}\n");
  }

  @Test
  void noMoreIsReadThanIsWanted() throws IOException {
    Path file = zip("java.base/java/A.java", "package a;" + "x".repeat(1 << 20));
    assertThat(JavaSources.read(file, 100)).singleElement().asString().hasSize(100);
  }

  @Test
  void withoutTheFileThereIsNothingAndADamagedOneIsNamed() throws IOException {
    assertThat(JavaSources.read(folder.resolve("none.zip"), 100)).isEmpty();
    Path damaged = Files.writeString(folder.resolve("damaged.zip"), "no zip at all");
    assertThatThrownBy(() -> JavaSources.read(damaged, 100))
        .isInstanceOf(MoeException.class)
        .hasMessageContaining("damaged.zip");
  }
}
