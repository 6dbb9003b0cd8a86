# One line of ci/measure-requests from the document of a watch, in milliseconds.
[.agents[].starved // empty] as $starved
| def ms: (. / 1000) | floor;
if ($starved | length) == 0 then error("no agent tells how long it starved") else
  [ $round, $name, ([$starved[].longest_us] | max | ms), ([$starved[].total_us] | add | ms),
    (.watch.unobserved.longest_us // 0 | ms), $code ] | @tsv
end
