package org.moe4j.lab;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.moe4j.tensor.MoeException;

/** Java sources as text: those of the running JDK, where it comes with them. */
final class JavaSources {
  private static final String FOLDER = "java.base/java/";

  private JavaSources() {}

  /** Where a JDK has its sources; runtimes and some packages of JDKs have none. */
  static Path ofThisJdk() {
    return Path.of(System.getProperty("java.home"), "lib", "src.zip");
  }

  /**
   * The sources below {@code java.base/java} in the order of their names, each without the licence
   * that it begins with.
   *
   * @param zip of sources as a JDK has them
   * @param chars so much in all is enough
   * @return nothing if there is no such file
   * @throws MoeException if it cannot be read
   */
  static List<String> read(Path zip, int chars) {
    List<String> sources = new ArrayList<>();
    if (!Files.isRegularFile(zip)) {
      return sources;
    }
    try (ZipFile file = new ZipFile(zip.toFile())) {
      List<? extends ZipEntry> entries =
          file.stream()
              .filter(e -> e.getName().startsWith(FOLDER) && e.getName().endsWith(".java"))
              .sorted(Comparator.comparing(ZipEntry::getName))
              .toList();
      int left = chars;
      for (ZipEntry entry : entries) {
        if (left <= 0) {
          break;
        }
        // No more than is wanted, whatever the entry says of its size.
        byte[] bytes = file.getInputStream(entry).readNBytes(left);
        String source = withoutLicence(new String(bytes, StandardCharsets.UTF_8));
        left -= source.length();
        sources.add(source);
      }
      return sources;
    } catch (IOException e) {
      throw new MoeException(
          zip + " cannot be read (" + e.getMessage() + "); repair or remove it", e);
    }
  }

  /** From the package statement on: the comment before it is the same in every file. */
  private static String withoutLicence(String source) {
    int start = source.startsWith("package ") ? 0 : source.indexOf("\npackage ") + 1;
    return source.substring(start);
  }
}
