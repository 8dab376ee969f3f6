package org.moe4j.models.hf;

import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.Objects;
import org.moe4j.tensor.Safetensors;
import org.moe4j.tensor.Tensor;

/** A tiny checkpoint of switch_transformers and what transformers says of it. */
final class SwitchFixture implements AutoCloseable {
  final Path folder;
  private final Safetensors expected;

  SwitchFixture(String setting) {
    this.folder = folder(setting);
    this.expected = Safetensors.open(folder.resolve("expected.safetensors"));
  }

  static Path folder(String setting) {
    String name = "/families/switch_transformers-" + setting + "/config.json";
    try {
      return Path.of(Objects.requireNonNull(SwitchFixture.class.getResource(name)).toURI())
          .getParent();
    } catch (URISyntaxException e) {
      throw new IllegalStateException(e);
    }
  }

  boolean has(String name) {
    return expected.names().contains(name);
  }

  Tensor load(String name) {
    return expected.load(name);
  }

  /** A sequence [n] as a batch [1,n]. */
  Tensor row(String name) {
    return load(name).unsqueeze(0);
  }

  int[] ids(String name) {
    long[] wide = load(name).toLongs();
    int[] ids = new int[wide.length];
    for (int i = 0; i < ids.length; i++) {
      ids[i] = Math.toIntExact(wide[i]);
    }
    return ids;
  }

  @Override
  public void close() {
    expected.close();
  }
}
