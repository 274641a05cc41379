// Schemas for random walks: every supported keyword, recursion, and the shapes that the OpenAI SDK, pydantic
// and zod produce.
#pragma once

#include <array>

namespace gossamer {

inline constexpr std::array kSampleSchemas = {
    R"({"type":"object","properties":{"location":{"type":"string"},"unit":{"enum":["celsius","fahrenheit"]}},
        "required":["location"],"additionalProperties":false})",
    R"({"type":"object","properties":{"steps":{"type":"array","items":{"$ref":"#/$defs/Step"}},
        "final_answer":{"type":"string"}},"required":["steps","final_answer"],"additionalProperties":false,
        "$defs":{"Step":{"type":"object","properties":{"explanation":{"type":"string"},"output":{"type":"string"}},
        "required":["explanation","output"],"additionalProperties":false}}})",
    R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{"value":{"type":"integer"},
        "next":{"anyOf":[{"$ref":"#/$defs/node"},{"type":"null"}]}},"required":["value","next"]}}})",
    R"({"type":"object","properties":{"type":{"enum":["div","button","form"]},"label":{"type":"string"},
        "children":{"type":"array","items":{"$ref":"#"}}},"required":["type","label","children"],
        "additionalProperties":false})",
    R"({"type":"array","items":{"type":"number","minimum":-1.5,"exclusiveMaximum":2.25},"minItems":1,"maxItems":5})",
    R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"boolean"}],"items":{"type":"null"},"minItems":1,
        "maxItems":4})",
    R"({"type":"integer","minimum":-17,"maximum":12345,"multipleOf":7})",
    R"({"type":"object","properties":{"n":{"type":"integer","exclusiveMinimum":0,"exclusiveMaximum":100},
        "m":{"type":"number","exclusiveMinimum":0}},"required":["m"]})",
    R"({"type":"string","minLength":2,"maxLength":6})",
    R"({"type":"object","properties":{"id":{"type":"string","pattern":"^[A-Z]{2}-[0-9]{3,5}$"},
        "slug":{"type":"string","pattern":"^[a-z0-9_]{1,12}$"},"free":{"type":"string","pattern":"[aeiou]+[b-z]"},
        "alt":{"type":"string","pattern":"^(foo|ba[rz])?x$","minLength":2}},"required":["id","slug","free"]})",
    R"({"type":["string","null","integer"]})",
    R"({"oneOf":[{"type":"object","properties":{"kind":{"const":"circle"},"r":{"type":"number","minimum":0}},
        "required":["kind","r"]},{"type":"object","properties":{"kind":{"const":"square"},"a":{"type":"integer"}},
        "required":["kind","a"]}]})",
    R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"}},"required":["a"]},
        {"type":"object","properties":{"a":{"minimum":10},"c":{"type":"boolean"}},"required":["c"]}]})",
    R"({"type":"object","additionalProperties":{"type":"integer"},"properties":{"name":{"type":"string"}}})",
    R"({"type":"object","additionalProperties":{"type":"boolean"},"minProperties":1})",
    R"({"type":"object","properties":{"a":{"type":"null"},"b":{"type":"null"},"c":{"type":"null"}},"minProperties":1,
        "maxProperties":2,"additionalProperties":false})",
    R"({"type":"object"})",
    R"({"type":"object","properties":{"anything":true,"list":{"type":"array"}},"required":["anything"]})",
    R"({"enum":["a","\"quoted\"","caf\u00e9","line\nbreak",1,2.5,null,true,[1,{"x":"y"}]]})",
    R"({"type":"object","required":["ghost"],"properties":{"x":{"type":"string","enum":["only"]}}})",
    R"({"type":"object","properties":{"person":{"type":"object","properties":{"name":{"type":"string","minLength":1,
        "maxLength":40},"age":{"type":"integer","minimum":0,"maximum":150},"tags":{"type":"array","items":{"type":
        "string","maxLength":10},"maxItems":3}},"required":["name","age"],"anyOf":[{"required":["tags"]},
        {"properties":{"age":{"maximum":17}}}]}},"required":["person"]})",
};

// Formats, which the validator of the tests leaves out.
inline constexpr std::array kSampleFormats = {"date",     "time", "date-time", "uuid", "email",
                                              "hostname", "ipv4", "ipv6",      "uri"};

}  // namespace gossamer
