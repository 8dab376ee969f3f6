package org.moe4j.tensor;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/**
 * {@code model.safetensors.index.json}: which shard holds which tensor.
 *
 * @param shardOf the shard's file name, in the index's own folder, by tensor name
 */
record SafetensorsIndex(Map<String, String> shardOf) {
  static final String FILE = "model.safetensors.index.json";

  /**
   * Reads an index.
   *
   * @throws MoeException if it is not one, or names a file outside its folder
   */
  static SafetensorsIndex read(Path file) {
    byte[] json;
    try {
      if (Files.size(file) > SafetensorsHeader.LONGEST) {
        throw new MoeException(
            file + ": over the limit of " + SafetensorsHeader.LONGEST + " bytes");
      }
      json = Files.readAllBytes(file);
    } catch (IOException e) {
      throw new MoeException("cannot read " + file + ": " + Names.shown(e.toString()), e);
    }
    Map<String, String> shardOf = new LinkedHashMap<>();
    StrictJson.read(
        json,
        file.toString(),
        in -> {
          in.objectStart("the index");
          boolean found = false;
          while (in.nextKey()) {
            if (in.key().equals("weight_map")) {
              found = true;
              readMap(in, shardOf);
            } else {
              in.skipValue();
            }
          }
          if (!found) {
            throw in.failure("weight_map is missing");
          }
        });
    return new SafetensorsIndex(shardOf);
  }

  private static void readMap(StrictJson in, Map<String, String> shardOf) {
    in.objectStart("weight_map");
    while (in.nextKey()) {
      String tensor = in.key();
      String shard = in.string("weight_map." + Names.shown(tensor));
      if (!isPlainName(shard)) {
        throw in.failure(
            "tensor "
                + Names.shown(tensor)
                + " is said to be in "
                + Names.shown(shard)
                + "; a shard must be a .safetensors file in the index's own folder");
      }
      shardOf.put(tensor, shard);
    }
  }

  private static boolean isPlainName(String shard) {
    return shard.endsWith(".safetensors")
        && shard.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ');
  }

  /** The index as JSON, with the total size of the values. */
  byte[] toJson(long totalBytes) {
    JsonMapper mapper = new JsonMapper();
    ObjectNode root = mapper.createObjectNode();
    root.putObject("metadata").put("total_size", totalBytes);
    ObjectNode map = root.putObject("weight_map");
    shardOf.forEach(map::put);
    return mapper.writerWithDefaultPrettyPrinter().writeValueAsBytes(root);
  }
}
