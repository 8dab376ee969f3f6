package org.moe4j.models.gguf;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.moe4j.engine.gguf.GgmlType;
import org.moe4j.engine.gguf.Quantise;
import org.moe4j.models.hf.LoadProgress;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Scope;

/**
 * The checkpoints of the tests as GGUF files. As a program, {@code Exports FOLDER} writes those
 * that {@code src/test/python/greedy_exports.mjs} records, with their prompts.
 */
final class Exports {
  private Exports() {}

  static List<Path> checkpoints() {
    return folders(resource("/families"));
  }

  static Path resource(String name) {
    try {
      return Path.of(Objects.requireNonNull(Exports.class.getResource(name)).toURI());
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  private static List<Path> folders(Path root) {
    try (Stream<Path> all = Files.list(root)) {
      return all.filter(Files::isDirectory)
          .filter(f -> !f.getFileName().toString().startsWith("switch"))
          .sorted()
          .toList();
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  static int[] ids(Path checkpoint, String name) {
    try (Scope scope = Scope.open();
        Safetensors file = Safetensors.open(checkpoint.resolve("expected.safetensors"))) {
      return Arrays.stream(file.load(name).toLongs()).mapToInt(Math::toIntExact).toArray();
    }
  }

  /**
   * A file that llama.cpp's greedy tokens are recorded of.
   *
   * @param checkpoint a folder of {@code families}, or one of {@link Drawn}
   */
  record Recorded(String checkpoint, GgmlType type) {
    boolean isDrawn() {
      return Drawn.models().containsKey(checkpoint);
    }

    @Override
    public String toString() {
      return checkpoint + " " + type.label();
    }

    /** Two prompts. */
    List<int[]> prompts() {
      return isDrawn()
          ? List.of(GgufExportTest.text(17), GgufExportTest.text(33))
          : Stream.of("prompt.0", "prompt.1").map(p -> ids(folder(), p)).toList();
    }

    private Path folder() {
      return resource("/families").resolve(checkpoint);
    }

    /** Writes the file, by way of {@code scratch}. */
    GgufExport.Result write(Path scratch, Path to) {
      Path from = isDrawn() ? scratch.resolve(checkpoint) : folder();
      if (isDrawn() && !Files.exists(from)) {
        Drawn.save(checkpoint, from);
      }
      return GgufExport.run(from, to, type, LoadProgress.NONE);
    }
  }

  /** Everything that is recorded. */
  static List<Recorded> recorded() {
    List<Recorded> all = new ArrayList<>();
    Drawn.models().keySet().forEach(name -> all.add(new Recorded(name, GgmlType.F16)));
    for (String name : List.of("mixtral", "olmoe", "deepseek2", "gpt-oss")) {
      for (GgmlType type : Quantise.TYPES.stream().sorted().toList()) {
        if (type != GgmlType.F16) {
          all.add(new Recorded(name, type));
        }
      }
    }
    all.add(new Recorded("gpt_oss-mxfp4", GgmlType.Q4_0));
    for (Path family : checkpoints()) {
      String name = family.getFileName().toString();
      if (!GgufExportTest.REFUSED.containsKey(name)) {
        all.add(new Recorded(name, GgmlType.F32));
      }
    }
    return all;
  }

  @SuppressWarnings("SystemOut") // a program of its own
  public static void main(String[] args) throws IOException {
    Path to = Path.of(args[0]);
    Files.createDirectories(to);
    for (Recorded one : recorded()) {
      Path file = to.resolve(one.toString().replace(' ', '.') + ".gguf");
      Files.deleteIfExists(file);
      System.out.println(one + ": " + one.write(to, file));
      String prompts =
          one.prompts().stream()
              .map(p -> Arrays.stream(p).mapToObj(String::valueOf).collect(Collectors.joining(" ")))
              .collect(Collectors.joining("\n"));
      Files.writeString(to.resolve(file.getFileName() + ".prompts"), prompts + "\n");
    }
  }
}
