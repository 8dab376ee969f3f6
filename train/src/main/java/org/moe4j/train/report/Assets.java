package org.moe4j.train.report;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Properties;

/** The fixed parts of the page, from the class path. */
final class Assets {
  private static final String LIBRARY = "org.webjars.npm/chart.js";

  private Assets() {}

  /** A text that lies beside this class. */
  static String text(String name) {
    return read("/org/moe4j/train/report/" + name);
  }

  /** Chart.js in its bundled form, of whatever version the build has. */
  static String chartLibrary() {
    Properties about = new Properties();
    try (InputStream in = open("/META-INF/maven/" + LIBRARY + "/pom.properties")) {
      about.load(in);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
    String version = about.getProperty("version");
    // Without the line that sends developer tools for a source map.
    return read("/META-INF/resources/webjars/chart.js/" + version + "/dist/chart.umd.min.js")
        .replaceAll("(?m)^//# sourceMappingURL=.*$", "")
        .strip();
  }

  private static String read(String path) {
    try (InputStream in = open(path)) {
      return new String(in.readAllBytes(), StandardCharsets.UTF_8);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  private static InputStream open(String path) throws IOException {
    InputStream in = Assets.class.getResourceAsStream(path);
    if (in == null) {
      throw new FileNotFoundException(path + ": missing on the class path");
    }
    return in;
  }
}
